-- Contracts that were traded in the last 15 minutes, and their average price weighted by volume, for each root.
-- A tick sums up 500 ms and has the price of its last trade, so that price stands for all that the tick traded.
-- Products of one root may differ in size, so the weight is the volume times the multiplier.
SELECT
  ticks.root AS key,
  any_value(contracts.currency) AS currency,
  sum(ticks.traded) AS volume,
  round(
    sum(ticks.price::DOUBLE * ticks.traded::DOUBLE * coalesce(contracts.multiplier, 1)::DOUBLE)
      / sum(ticks.traded::DOUBLE * coalesce(contracts.multiplier, 1)::DOUBLE),
    6
  ) AS vwap,
  count(*) AS ticks,
  min(ticks.event_time) AS from_time,
  max(ticks.event_time) AS event_time
FROM ticks
JOIN contracts USING (conid)
WHERE ticks.price_state = 'live' AND ticks.traded > 0 AND ticks.event_time > now_ms() - 900000
GROUP BY ticks.root
