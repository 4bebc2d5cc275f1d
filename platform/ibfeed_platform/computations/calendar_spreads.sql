-- Each contract against the next month of its product: the near month minus the far one.
-- `spread` is of last trades of this session, and has no value if one of the legs has none.
-- `bid` and `ask` are what the two legs' quotes imply.
WITH months AS (
  SELECT
    conid,
    root,
    symbol,
    currency,
    lead(conid) OVER product AS far_conid
  FROM contracts
  WHERE contract_month IS NOT NULL
  WINDOW product AS (PARTITION BY root, exchange, trading_class ORDER BY contract_month, last_trading_day)
)
SELECT
  near.symbol || '-' || far.symbol AS key,
  months.root AS root,
  months.currency AS currency,
  CASE WHEN near.price_state = 'live' AND far.price_state = 'live' THEN near.price - far.price END AS spread,
  near.bid - far.ask AS bid,
  near.ask - far.bid AS ask,
  least(near.event_time, far.event_time) AS event_time
FROM months
JOIN latest AS near ON near.conid = months.conid
JOIN latest AS far ON far.conid = months.far_conid
WHERE near.state = 'live' AND far.state = 'live'
