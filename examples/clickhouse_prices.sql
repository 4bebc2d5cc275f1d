-- The latest price of each contract with its unit, and how old it is. `ibfeed clickhouse apply` makes the view.
SELECT
    symbol,
    price,
    price_unit AS unit,
    price_state AS state,
    dateDiff('millisecond', fromUnixTimestamp64Milli(event_time), now64(3)) AS age_ms
FROM {database:Identifier}.latest_tick
ORDER BY symbol
