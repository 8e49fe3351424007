-- Sample data for the loyalty-score step: 5,000 orders of 100 customers (C-1001 to C-1100), evenly spread over 2023 and 2024. The same rows
-- every time, so that a score can be compared: C-1001 has 29 orders in 2024, in any time zone.
BEGIN;

CREATE TABLE loyaltyPoints (
  order_id    bigint PRIMARY KEY,
  customer_id text NOT NULL,
  ORDERDATE   timestamptz NOT NULL,
  amount      numeric(10, 2) NOT NULL,
  points      integer NOT NULL
);

INSERT INTO loyaltyPoints (order_id, customer_id, ORDERDATE, amount, points)
SELECT n,
       'C-' || 1001 + n::bigint * n * 7919 / 37 % 100,
       timestamptz '2023-01-01 00:00:00+00' + n * interval '3 hours 30 minutes',
       5 + (n * 7919 % 20000) / 100.0,
       n * 7919 % 200
FROM generate_series(1, 5000) AS n;

CREATE INDEX loyaltypoints_customer_orderdate ON loyaltyPoints (customer_id, ORDERDATE);

COMMIT;
ANALYZE loyaltyPoints;
