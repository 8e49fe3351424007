-- Statements that run through the gateway and through libpq side by side, one a line; see values_corpus_test.cc. They go through what
-- PostgreSQL's types do, in the order of the manual's chapter on data types; "??" stands for the operator "?". (Debian's packages do not
-- carry the SQL of PostgreSQL's own regression tests, only pg_regress.)

-- integers
SELECT 1 AS one, -1::int2 AS minus_one, 9223372036854775807 AS big, -9223372036854775808 AS small
SELECT 32767::int2 + 1::int2
SELECT 2147483647 + 1
SELECT 2147483647::int8 + 1
SELECT '32768'::int2
SELECT '  12  '::int4, '-0'::int8, '+7'::int2
SELECT '0x10'::int4
SELECT ''::int4
SELECT 'abc'::int8
SELECT 1 / 0
SELECT 7 / 2, -7 / 2, 7 % 3, -7 % 3, 7 & 3, 7 | 8, 7 # 2, ~7, 1 << 30, -8 >> 1
SELECT gcd(12, 18), lcm(4::int8, 6::int8), abs(-5), sign(-5.5), div(7, 2), mod(7, 2)
SELECT (-32768)::int2 * (-1)::int2
SELECT (-9223372036854775808)::int8 / (-1)::int8
SELECT int4(2.5), int4(3.5), int4(-2.5), int8(2.4999), (0.5)::int2, (1.5::float8)::int4, (2.5::float8)::int4
SELECT '4294967295'::oid, '-1'::oid, 0::oid
SELECT '4294967296'::oid
SELECT x, x::text, x::bit(8) FROM generate_series(-2, 2) x
SELECT max(x), min(x), sum(x), avg(x), count(*), stddev(x), variance(x) FROM generate_series(1, 10) x
SELECT sum(x::int8), sum(x::int2), sum(x::numeric), avg(x::float4) FROM generate_series(1, 10) x

-- numeric
SELECT 1.0, 1.00, 0.10, 100.000, -0.0, 1e10, 1e-10, 1.5e3, .5, 5.
SELECT 'NaN'::numeric, 'Infinity'::numeric, '-inf'::numeric, 'nan'::numeric = 'NaN'::numeric, 'NaN'::numeric > 'Infinity'::numeric
SELECT 1.1::numeric(5,2), 123.456::numeric(5,1), 0.005::numeric(3,2), -99999.5::numeric(5,0)
SELECT 99999.5::numeric(5,0)
SELECT 123456::numeric(5,2)
SELECT 12345::numeric(3,-2), 12355::numeric(3,-2), 0.00123::numeric(3,5)
SELECT 1::numeric / 3, 10::numeric / 3, 1e-20 / 3, 2 / 3.0
SELECT 2 ^ 0.5::numeric, sqrt(2::numeric), exp(1::numeric), ln(2::numeric), log(100::numeric), log(2, 64), power(2::numeric, 100)
SELECT round(2.5), round(-2.5), round(2.567, 2), trunc(2.567, 1), ceil(2.1), floor(-2.1), round(1234.5, -2)
SELECT 'Infinity'::numeric - 'Infinity'::numeric, 'Infinity'::numeric * 0, -'Infinity'::numeric
SELECT 1::numeric / 0
SELECT repeat('9', 1000)::numeric, ('0.' || repeat('1', 500))::numeric
SELECT scale(1.2300), min_scale(1.2300), trim_scale(1.2300), width_bucket(5.35, 0.024, 10.06, 5)
SELECT factorial(25), 25::numeric::text, to_char(1234567.891, '9,999,999.99'), to_number('12,454.8-', '99G999D9S')
SELECT '1_000'::numeric
SELECT '1e200000'::numeric
SELECT NULL::numeric, 'NaN'::numeric::float8, 'Infinity'::numeric::float4, 1e300::numeric::float8
SELECT 1e400::numeric::float8
SELECT 'NaN'::numeric::int4
SELECT numeric_send(1.5), hashnumeric_extended(1.0, 0) = hashnumeric_extended(1.00, 0)

-- floating point
SELECT 0.1::float4, 0.1::float8, 0.1::float8 + 0.2::float8, 1e15::float8, 1e16::float8, 1e-5::float8, 123456789.123456789::float8
SELECT 'NaN'::float8, 'Infinity'::float8, '-Infinity'::float4, '-0'::float8, 'inf'::float4, ' nan '::float8
SELECT 5e-324::float8, 1.7976931348623157e308::float8, 2.2250738585072014e-308::float8, '1e-45'::float4, '3.4028235e38'::float4
SELECT '1e400'::float8
SELECT '1e-400'::float8
SELECT '1e39'::float4
SELECT 'x'::float8
SELECT 1e308::float8 * 10
SELECT 1::float8 / 0
SELECT 1.5::float4::float8, 0.1::float4::float8, 16777217::float4, 9007199254740993::float8
SELECT sqrt(-1::float8)
SELECT cbrt(27::float8), pi(), degrees(pi()), sind(30), atan2d(1, 1), exp(1::float8), ln(10::float8), log(1000::float8)
SELECT 'NaN'::float8 = 'NaN'::float8, 'NaN'::float8 > 'Infinity'::float8, '-0'::float8 = '0'::float8, 0.1::float4 = 0.1::float8
SELECT trunc(-1.7::float8), round(2.5::float8), round(-0.4::float8), ceil(-0.4::float8), floor(0.4::float4)
SELECT x::float8 FROM (VALUES ('1'), ('-1.5'), ('NaN'), ('Infinity'), (NULL)) v (x)
SELECT corr(a, b), covar_pop(a, b), regr_slope(a, b), stddev_samp(a), var_pop(a) FROM (VALUES (1::float8, 2::float8), (2, 4.5), (3, 5)) v (a, b)
SELECT float8send(1.5), float4send('NaN'::float4), 1e23::float8, 4.35::float8 * 100, 1.005::float8

-- money
SELECT '1234.567'::money, '-1'::money, '$1,000.00'::money, ('12.34'::money)::numeric, 5::money, 2.5::money
SELECT '92233720368547758.08'::money
SELECT '10'::money / '4'::money, '10'::money / 3, '10'::money * 1.5, '10'::money + '0.01'::money
SELECT cash_words('1234.56'::money)

-- booleans
SELECT true, false, NULL::bool, 't'::bool, 'off'::bool, '1'::bool, 'no'::bool, 'tru'::bool, 5::bool, 0::bool
SELECT 'o'::bool
SELECT ''::bool
SELECT true AND NULL, false AND NULL, true OR NULL, NOT NULL::bool, true::text, false::int, bool_and(x), bool_or(x), every(x) FROM (VALUES (true), (false)) v (x)
SELECT 1 = 1 IS TRUE, NULL::bool IS UNKNOWN, NULL IS DISTINCT FROM NULL, 1 IS NOT DISTINCT FROM NULL

-- characters
SELECT 'text', 'it''s', E'a\nb\tc\\', U&'d\0061t\+000061', $$dollar 'quoted'$$, $x$ $$ $x$, '', ' ', 'é', '日本語', '🦣'
SELECT 'abc'::varchar(2), 'abc'::char(5), 'abc'::char(2), 'abc'::char, 'a  '::char(5) || '|', length('a  '::char(5)), 'abc'::name, 'x'::"char"
SELECT 'a  '::char(5) = 'a', 'a  '::varchar = 'a', 'a '::char(5)::text = 'a'
SELECT chr(0)
SELECT chr(1), chr(127), chr(128), chr(8364), chr(129443), ascii('€'), length('🦣'), octet_length('🦣'), char_length('e' || chr(769))
SELECT E'\u0000'
SELECT repeat('x', 63)::name, repeat('x', 64)::name, repeat('é', 40)::name
SELECT upper('straße'), lower('ÀÉ'), initcap('hello wORLD'), reverse('añb'), left('héllo', 2), right('héllo', -1)
SELECT substring('foobar' from 'o.b'), substring('foobar', 2, 3), substring('Thomas' from '%#"o_a#"_' for '#'), overlay('Txxxxas' placing 'hom' from 2 for 4)
SELECT position('ö' in 'fööö'), strpos('high', 'ig'), split_part('a~b~c', '~', -1), string_to_array('a,b,,c', ',', ''), translate('12345', '143', 'ax')
SELECT regexp_matches('foobarbequebaz', '(bar)(beque)'), regexp_split_to_array('a  b c', '\s+'), regexp_replace('Thomas', '.[mN]a.', 'M')
SELECT regexp_match('a', '(')
SELECT format('%s %I %L %%', 'a', 'B c', 'it''s'), format('%2$s %1$s', 'x', 'y'), quote_ident('Foo'), quote_literal(E'a\\b'), quote_nullable(NULL)
SELECT md5('é'), sha256('é'), encode('\x00ff'::bytea, 'base64'), decode('AP8=', 'base64'), encode(E'a\\000b'::bytea, 'escape')
SELECT concat('a', NULL, 1, true), concat_ws(',', 1, NULL, 2), 'a' || NULL, lpad('x', 5, 'ab'), rpad('é', 3, '日'), btrim('xxaxx', 'x')
SELECT to_hex(255), to_char(-5, 'S999'), to_char(0.1, '0.99'), to_char(485, 'RN'), to_char(12, '99th')
SELECT 'abc' LIKE 'a%', 'a_c' LIKE 'a\_c', 'ABC' ILIKE 'abc', 'abc' SIMILAR TO '%(b|d)%', 'abc' ~ '^a', 'ABC' ~* 'abc', 'x' COLLATE "C" < 'Y' COLLATE "C"
SELECT normalize('é', NFD) = 'é', 'é' IS NORMALIZED, unistr('\0064\+0061t'), string_agg(x, ';' ORDER BY x COLLATE "C" DESC) FROM (VALUES ('a'), ('B')) v (x)
SELECT convert_to('é', 'LATIN1'), convert_from('\xe9', 'LATIN1'), convert('\xc3a9', 'UTF8', 'LATIN1')
SELECT convert_to('€', 'LATIN1')
SELECT starts_with('abc', 'a'), parse_ident('"A"."b"'), pg_typeof('x'), pg_typeof('x' || 'y'), 'x'::text COLLATE "POSIX"

-- bytea
SELECT '\x'::bytea, '\xDEADBEEF'::bytea, E'\\000\\377'::bytea, 'abc'::bytea, E'a\\\\b'::bytea
SELECT '\xabc'::bytea
SELECT '\xzz'::bytea
SELECT E'\\400'::bytea
SELECT '\x00'::bytea || '\x01', length('\x0000'::bytea), get_byte('\x0102', 1), set_byte('\x0102', 0, 255), substring('\x010203'::bytea from 2), bit_count('\xff'::bytea)
SELECT decode(repeat('ab', 1000), 'hex'), string_agg(x, '\x00') FROM (VALUES ('\x01'::bytea), ('\x02')) v (x)

-- dates and times
SELECT date '2024-02-29', date '1-1-1 BC', date 'infinity', date '-infinity', date 'epoch', date 'J2451187', date '20240229', date 'Feb 29 2024'
SELECT date '2023-02-29'
SELECT date '13/14/2024'
SELECT date '01/02/03', date '5874897-12-31', date '4714-11-24 BC'
SELECT date '5874898-01-01'
SELECT date '4714-11-23 BC'
SELECT date '2024-01-31' + 1, date '2024-01-01' - date '2023-01-01', date '2024-01-31' + interval '1 month', date 'infinity' - 1
SELECT time '23:59:59.999999', time '24:00:00', time '12:00 PM', time '040506', time '04:05:06.7894561', time(0) '04:05:06.5', time '23:59:60'
SELECT time '24:00:01'
SELECT time '25:00'
SELECT timetz '12:00:00+05:30', timetz '12:00-15:59:59', timetz '24:00:00+00', timetz(1) '12:00:00.55Z'
SELECT timestamp '2024-02-29 13:14:15.123456', timestamp '0001-01-01 BC', timestamp 'infinity', timestamp '294276-12-31 23:59:59.999999', timestamp(0) '2024-01-01 00:00:00.5'
SELECT timestamp '294277-01-01'
SELECT timestamp '2024-01-01T00:00:00Z', timestamp '2024-01-01 25:00'
SELECT timestamptz '2024-02-29 13:14:15.123456+05:45', timestamptz '2024-07-01 12:00 Europe/Berlin', timestamptz 'epoch', timestamptz '-infinity'
SELECT timestamptz '2024-07-01 12:00 Nowhere/City'
SELECT timestamptz '2024-01-01 00:00Z' AT TIME ZONE 'Asia/Kolkata', timestamp '2024-01-01 00:00' AT TIME ZONE 'UTC', timestamptz '1880-01-01 00:00Z'
SELECT extract(epoch from timestamptz '2024-01-01 00:00:00.123456Z'), extract(year from date '0044-03-15 BC'), date_part('dow', date '2024-02-29'), extract(julian from date '2000-01-01')
SELECT date_trunc('century', timestamp '2024-02-29 13:14:15'), date_bin('15 minutes', timestamp '2024-02-29 13:14:15', timestamp '2001-01-01'), age(timestamp '2024-02-29', timestamp '2000-01-31')
SELECT make_date(-44, 3, 15), make_time(8, 15, 23.5), make_timestamp(2013, 7, 15, 8, 15, 23.5), make_interval(years => 1, secs => 0.000001), make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'UTC')
SELECT make_date(2024, 2, 30)
SELECT to_timestamp(0), to_timestamp('05 Dec 2000', 'DD Mon YYYY'), to_date('2024-060', 'YYYY-DDD'), to_char(timestamp '2024-02-29 13:14:15.5', 'YYYY-MM-DD"T"HH24:MI:SS.US TMDay')
SELECT interval '1 year 2 mons 3 days 04:05:06.789', interval '-1 days +02:03:00', interval '1-2', interval '1 2:03:04', interval 'P1Y2M3DT4H5M6.7S', interval '@ 1 hour ago', interval '0'
SELECT interval '1.5 years', interval '1.5 months', interval '0.1 days', interval '1 microsecond', interval '-0.000001 s', interval '2562047788:00:54.775807'
SELECT interval '10000000000 years'
SELECT interval '1' year, interval '1-2' year to month, interval '1 2' day to hour, interval(2) '1.239 s', interval '1 day 2:03' day to minute
SELECT interval '1 month' = interval '30 days', interval '1 day' * 1.5, interval '1 month' / 4, justify_interval(interval '35 days 25 hours'), -interval '1 year -3 days'
SELECT timestamp '2024-01-31' + interval '1 month', timestamp '2024-03-31' - timestamp '2024-01-01', time '10:00' + interval '15 hours', timestamp 'infinity' + interval '1 day'
SELECT timestamp 'infinity' - timestamp 'infinity'
SELECT (timestamp '2024-01-01', timestamp '2024-02-01') OVERLAPS (timestamp '2024-01-15', interval '1 month'), isfinite(date 'infinity')
SELECT * FROM generate_series(timestamp '2024-01-01', timestamp '2024-01-02', interval '7 hours') t
SELECT d, d::timestamp, d::timestamptz FROM generate_series(timestamptz '2024-03-10 00:00Z', '2024-03-12 00:00Z', '1 day') d
SELECT 'now'::text, 'today'::date = current_date, 'tomorrow'::date - current_date, current_date = now()::date, timeofday() IS NOT NULL

-- uuid
SELECT 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'::uuid, 'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11'::uuid
SELECT 'not a uuid'::uuid
SELECT '00000000-0000-0000-0000-000000000000'::uuid < 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid, length(gen_random_uuid()::text)

-- enums, domains, composites
SELECT 'ok'::mood, 'über happy'::mood, enum_range(NULL::mood), enum_first(NULL::mood), 'sad'::mood < 'ok'::mood, 'ok'::mood::text
SELECT 'angry'::mood
SELECT 5::positive, '7'::positive, NULL::positive, 5::positive + 1
SELECT (-5)::positive
SELECT 'abc'::"Own types"."Short text", repeat('x', 21)::"Own types"."Short text"
SELECT ROW(1, 'x')::pair, ROW(NULL, NULL)::pair, (ROW(1, 'a,"b\c')::pair).words, '(,)'::pair, '(1,"")'::pair IS NULL, ROW(1, NULL)::pair
SELECT '(1'::pair
SELECT '(1,2,3)'::pair
SELECT (p).number, (p).*, p FROM (SELECT ROW(7, 'seven')::pair AS p) t
SELECT ROW(1, 'two', NULL, 3.0, true, ROW(4, NULL)), ROW(), ROW(NULL), (1, 2) = (1, 2), (1, NULL) IS NULL
SELECT ROW(1, ROW(2, 'x')::pair, ARRAY[ROW(3, 'y')::pair, NULL], timestamptz 'infinity')::"Own types"."Nested"
SELECT t FROM (VALUES (1, 'a'), (2, NULL)) t (x, y)
SELECT pair FROM (SELECT 1 AS number, NULL::text AS words) pair
SELECT pg_typeof(ROW(1)), pg_typeof('ok'::mood), pg_typeof(ROW(1, 'x')::pair), pg_typeof(5::positive)

-- arrays
SELECT ARRAY[1,2,3], ARRAY[]::int[], ARRAY[NULL]::text[], '{}'::int[], '{1,NULL,3}'::int[], ARRAY[[1,2],[3,4]], '[0:1]={5,6}'::int[], '[2:3][-1:0]={{1,2},{3,4}}'::int[]
SELECT '{a,"b c","d\"e","f\\g","{h}",NULL,"NULL","",i j}'::text[], ARRAY['', ' ', 'NULL', 'null', NULL, 'a,b', '{', '"', '\']
SELECT '{1,2'::int[]
SELECT '{{1,2},{3}}'::int[]
SELECT '[1:2]={1}'::int[]
SELECT ARRAY[[1,2],[3]]
SELECT ARRAY[1,'x']
SELECT (ARRAY[1,2,3])[2], (ARRAY[1,2,3])[0], (ARRAY[1,2,3])[2:3], (ARRAY[[1,2],[3,4]])[1:2][1:1], (ARRAY[1,2,3])[:2], ('[0:2]={7,8,9}'::int[])[0]
SELECT array_length(ARRAY[1,2], 1), array_length('{}'::int[], 1), array_dims('[0:1]={1,2}'::int[]), array_ndims(ARRAY[[1]]), cardinality(ARRAY[[1,2],[3,4]]), array_lower('[5:6]={1,2}'::int[], 1)
SELECT ARRAY[1,2] || 3, 0 || ARRAY[1], ARRAY[1] || ARRAY[2,3], ARRAY[[1,2]] || ARRAY[3,4], array_append(NULL, 1), array_prepend('a', ARRAY['b']), array_cat('{}', '{1}'::int[])
SELECT array_remove(ARRAY[1,2,2,NULL], 2), array_replace(ARRAY[1,NULL], NULL, 9), array_position(ARRAY['a','b'], 'b'), array_positions(ARRAY[1,2,1], 1), array_to_string(ARRAY[1,NULL,3], ',', '*'), trim_array(ARRAY[1,2,3], 1)
SELECT ARRAY[1,2] @> ARRAY[2], ARRAY[1] <@ ARRAY[1,2], ARRAY[1,2] && ARRAY[3], ARRAY[1,2] = ARRAY[1,2], ARRAY[1,2] < ARRAY[1,3], 2 = ANY (ARRAY[1,2]), 3 > ALL (ARRAY[1,2]), NULL = ANY (ARRAY[1])
SELECT unnest(ARRAY['a', NULL, '']), unnest(ARRAY[1,2,3])
SELECT * FROM unnest(ARRAY[1,2], ARRAY['x']) WITH ORDINALITY AS u (a, b, n)
SELECT array_agg(x ORDER BY x DESC), array_agg(ARRAY[x, -x]) FROM generate_series(1, 3) x
SELECT ARRAY(SELECT x FROM generate_series(1, 3) x), array_fill(7, ARRAY[2,2], ARRAY[0,0]), string_to_array(NULL, ','), generate_subscripts(ARRAY[5,6], 1)
SELECT ARRAY[1.50, NULL, 'NaN'], ARRAY[0.1::float8, 'NaN', '-0'], ARRAY[true, NULL], ARRAY['\x00ff'::bytea, '\x'], ARRAY[date '2024-01-01', 'infinity'], ARRAY[interval '1 day'], ARRAY['{"a": 1}'::jsonb]
SELECT ARRAY['(1,2),(3,4)'::box, '(5,6),(7,8)'], ARRAY[point '(1,2)'], ARRAY['[1,2)'::int4range, 'empty'], ARRAY['ok'::mood], ARRAY[ROW(1, 'x')::pair]
SELECT '1 2 3'::int2vector, '26 25'::oidvector, ('1 2 3'::int2vector)[0]

-- ranges
SELECT '[1,5)'::int4range, '[1,5]'::int4range, '(1,5)'::int4range, 'empty'::int4range, '(,)'::int4range, '[1,1)'::int4range, int4range(1, 5, '[]'), int8range(NULL, 5), numrange(1.10, 2.2)
SELECT '[5,1]'::int4range
SELECT '[1,2'::int4range
SELECT '[a,b]'::int4range
SELECT '["2024-01-01 10:00","2024-01-02")'::tsrange, '[2024-01-01,infinity)'::daterange, tstzrange('2024-01-01 00:00Z', NULL), '["-Infinity",NaN]'::numrange
SELECT lower('[1,5)'::int4range), upper('[1,5)'::int4range), isempty('empty'::int4range), lower_inc('[1,5)'::int4range), upper_inf('[1,)'::int4range), lower('empty'::int4range)
SELECT '[1,5)'::int4range @> 3, '[1,5)'::int4range && '[4,9)'::int4range, '[1,5)'::int4range -|- '[5,9)'::int4range, '[1,5)'::int4range * '[3,9)'::int4range, '[1,5)'::int4range + '[4,9)'::int4range, '[1,9)'::int4range - '[5,9)'::int4range
SELECT '[1,3)'::int4range + '[5,9)'::int4range
SELECT '{[1,3),[5,9)}'::int4multirange, '{}'::nummultirange, '{[1,2),[2,3)}'::int4multirange, multirange('[1,2)'::int4range), range_merge('{[1,3),[5,9)}'::int4multirange), int4multirange('[1,3)', '[2,8)')
SELECT '{[1,3)'::int4multirange
SELECT unnest('{[1,3),[5,9)}'::int4multirange), range_agg(r), range_intersect_agg(r) FROM (VALUES ('[1,4)'::int4range), ('[3,9)')) v (r)
SELECT '{[1,3),[5,9)}'::int4multirange - '[2,6)'::int4multirange
SELECT '{[1,3),[5,9)}'::int4multirange - '{[2,6)}'::int4multirange, '{[1,3)}'::int4multirange @> 2, '[1.5,"NaN"]'::floatrange

-- json
SELECT '{"a": 1, "a": 2}'::json, '{"b": 1, "a": [1, 2, {"c": null}]}'::jsonb, ' [ 1 , 2 ] '::json, ' [ 1 , 2 ] '::jsonb, 'null'::json, '"x"'::jsonb, '1.50'::jsonb, '1e5'::jsonb, '12345678901234567890.12345'::jsonb
SELECT '{a: 1}'::json
SELECT '"\u0000"'::jsonb
SELECT '"\ud800"'::jsonb
SELECT '"\u0000"'::json, '"\ud83e\udda3"'::jsonb, '"é\n\t\"\\"'::jsonb
SELECT '{"a": {"b": [10, 20]}}'::jsonb -> 'a' -> 'b' ->> 1, '{"a": {"b": [10, 20]}}'::json #> '{a,b,0}', '{"a": null}'::jsonb ->> 'a', '{"a": null}'::jsonb -> 'a', '[1,2]'::jsonb -> -1, '[1]'::json -> 5
SELECT '{"a": 1, "b": 2}'::jsonb @> '{"a": 1}', '{"a": 1}'::jsonb ?? 'a', '{"a": 1}'::jsonb ??| ARRAY['x', 'a'], '{"a": 1}'::jsonb ??& ARRAY['a', 'b'], '{"a": [1]}'::jsonb @?? '$.a[0]', '{"a": 1}'::jsonb @@ '$.a == 1'
SELECT '{"a": 1}'::jsonb || '{"b": 2}', '{"a": 1, "b": 2}'::jsonb - 'a', '[1, 2, 3]'::jsonb - 1, '{"a": {"b": 1}}'::jsonb #- '{a,b}', jsonb_set('{"a": 1}', '{a}', '[2]'), jsonb_insert('[1, 3]', '{1}', '2')
SELECT jsonb_pretty('{"a": [1, {"b": null}]}'), jsonb_strip_nulls('{"a": null, "b": 1}'), jsonb_typeof('1'), json_typeof('[]'), jsonb_array_length('[1, 2]')
SELECT to_json('it''s "x"'::text), to_jsonb(1.50), to_json(timestamp '2024-01-01 00:00:00.5'), row_to_json(ROW(1, NULL, 'x')), json_build_object('a', 1, 'b', NULL), jsonb_build_array(1, 'x', true, NULL), json_object('{a,1,b,2}')
SELECT * FROM jsonb_each('{"a": 1, "b": "x"}')
SELECT * FROM json_each_text('{"a": null, "b": 1.50}')
SELECT * FROM jsonb_array_elements_text('["a", null, 1, {"b": 2}]')
SELECT * FROM jsonb_to_recordset('[{"a": 1, "b": "x"}, {"a": null}]') AS t (a int, b text)
SELECT * FROM jsonb_populate_record(NULL::pair, '{"number": 5, "words": "x"}')
SELECT jsonb_path_query('{"a": [1, 2, 3]}', '$.a[*] ? (@ > 1)'), jsonb_path_query_array('{"a": [1, 2, 3]}', '$.a[*]'), jsonb_path_exists('{"a": 1}', '$.b')
SELECT '$.a[*] ? (@ > 1)'::jsonpath, 'lax $."a b"'::jsonpath
SELECT '$.['::jsonpath
SELECT json_agg(x), jsonb_agg(x), json_object_agg(x, -x), jsonb_object_agg(x, NULL) FROM generate_series(1, 2) x
SELECT jsonb '1' < jsonb '"a"', jsonb '{"a": 1}' = jsonb '{"a": 1.0}', ('{"a": true}'::jsonb -> 'a')::bool, '5'::jsonb::int, ('{"x": [1]}'::jsonb)['x'][0]

-- xml
SELECT '<a b="c">d</a>'::xml, xmlparse(document '<?xml version="1.0"?><r/>'), xmlelement(name foo, xmlattributes('x' AS bar), 'cont<ent'), xmlforest(1 AS a, NULL AS b, 'é' AS c), xmlconcat('<a/>', '<b/>'), xmlcomment('hi')
SELECT '<a'::xml
SELECT xmlserialize(content '<a/>' AS text), xpath('/a/b/text()', '<a><b>1</b><b>2</b></a>'), xmlexists('//b' passing '<a><b/></a>'), xml_is_well_formed('<a>'), xmlpi(name php, 'echo')
SELECT xmlagg(x) FROM (VALUES ('<a/>'::xml), ('<b/>')) v (x)

-- network addresses
SELECT '192.168.1.5/24'::inet, '192.168.1.5'::inet, '10/8'::cidr, '::1'::inet, '2001:4f8:3:ba::/64'::cidr, '::ffff:1.2.3.0/120'::cidr, '08:00:2b:01:02:03'::macaddr, '08002b-0102030405'::macaddr8
SELECT '192.168.1.5/24'::cidr
SELECT '256.0.0.1'::inet
SELECT host('192.168.1.5/24'::inet), text('192.168.1.5'::inet), abbrev('10.0.0.0/8'::cidr), broadcast('192.168.1.5/24'), netmask('10.0.0.0/8'), network('192.168.1.5/24'), masklen('10.0.0.0/8'), family('::1')
SELECT '192.168.1.5'::inet << '192.168.1.0/24'::inet, '10.0.0.1'::inet + 255, '10.0.0.9'::inet - '10.0.0.1'::inet, ~'0.0.0.1'::inet, inet_merge('10.0.0.1', '10.0.1.1'), macaddr8_set7bit('08:00:2b:01:02:03'), trunc('08:00:2b:01:02:03'::macaddr)

-- bit strings
SELECT B'101', X'1F', '101'::bit(5), '10101'::bit(3), '101'::varbit(2), B''::varbit, 5::bit(8), (-1)::bit(40), B'101'::int
SELECT '102'::bit(3)
SELECT B'101' & B'110', B'101' | B'010', B'101' # B'111', ~B'101', B'101' << 1, B'101' || B'0', length(B'10100'), substring(B'10100' from 2 for 3), get_bit(B'101', 1), set_bit(B'101', 1, 1), bit_count(B'1011')
SELECT B'101' & B'1'

-- text search
SELECT 'a fat cat'::tsvector, $$'a b':1A 'c''d':2,3B$$::tsvector, to_tsvector('english', 'The quick brown foxes'), 'fat & (rat | !cat)'::tsquery, to_tsquery('english', 'foxes:*'), phraseto_tsquery('english', 'the quick fox'), websearch_to_tsquery('english', '"quick fox" or -dog')
SELECT 'a & '::tsquery
SELECT to_tsvector('english', 'a fat cat') @@ to_tsquery('english', 'cats'), ts_headline('english', 'a fat cat', to_tsquery('cat')), strip('a:1A'::tsvector), setweight('a:1'::tsvector, 'B'), ts_rank('a:1'::tsvector, 'a'), numnode('a & b'::tsquery), querytree('!a'::tsquery)

-- geometry
SELECT '(1,2)'::point, '(0.1,-0)'::point, '[(0,0),(1,1)]'::lseg, '{1,-1,0}'::line, '(1,1),(0,0)'::box, '((0,0),(1,1),(2,0))'::path, '[(0,0),(1,1)]'::path, '((0,0),(1,1),(2,0))'::polygon, '<(1,2),3.5>'::circle, '(NaN,Infinity)'::point
SELECT '(1,2'::point
SELECT '{0,0,0}'::line
SELECT '<(1,2),-1>'::circle
SELECT point '(1,1)' + point '(2,3)', box '(0,0),(1,1)' * point '(2,0)', circle '<(0,0),1>' @> point '(0,0)', point '(0,0)' <-> point '(3,4)', area(circle '<(0,0),2>'), center(box '(0,0),(2,2)'), lseg '[(0,0),(2,2)]' # lseg '[(0,2),(2,0)]', npoints(path '[(0,0),(1,1)]'), diagonal(box '(0,0),(1,2)'), polygon(4, circle '<(0,0),1>')

-- system types
SELECT '16/B374D848'::pg_lsn, '0/0'::pg_lsn, '16/B374D848'::pg_lsn - '16/B374D800'::pg_lsn, '10:20:10,14,15'::pg_snapshot, '10:20:10'::txid_snapshot, '(1,2)'::tid, '42'::xid, '42'::cid, '18446744073709551615'::xid8
SELECT 'G/0'::pg_lsn
SELECT '20:10:'::pg_snapshot
SELECT 'pg_class'::regclass, 'int4'::regtype, 'timestamptz(3)'::regtype, 'now'::regproc, 'abs(float8)'::regprocedure, '+(int4,int4)'::regoperator, 'pg_catalog'::regnamespace, 'english'::regconfig, 'simple'::regdictionary, '"C"'::regcollation, '1259'::regclass, 0::regclass
SELECT 'no_such_table'::regclass
SELECT to_regclass('no_such_table'), to_regtype('mood'), to_regclass('"Values of types"'), 'mood'::regtype, '"Own types"."Nested"'::regtype
SELECT 'abs'::regproc
SELECT format_type(1043, 14), format_type(1700, 655366), format_type(1114, 3), format_type(25, -1), NULL::void IS NULL, pg_typeof(NULL)
SELECT pg_sleep(0)
SELECT * FROM (SELECT pg_notify('x', 'y')) t
SELECT set_config('work_mem', '5MB', true), current_setting('no.such', true)
SELECT current_setting('no.such')
SELECT acldefault('r', 10)
SELECT 'app=r/app'::aclitem

-- extensions
SELECT 'a=>1, "b c"=>NULL'::hstore, 'a=>1'::hstore -> 'a', hstore('k', 'v') || 'x=>y', akeys('a=>1,b=>2'), 'a=>1'::hstore ?? 'a', hstore_to_jsonb('a=>1')
SELECT 'Hello'::citext, 'Hello'::citext = 'hELLO', 'a.b.c'::ltree, 'a.b'::ltree @> 'a.b.c', nlevel('a.b'), '(1,2)'::cube, cube(1, 2) <-> cube(3, 4)
SELECT 'a b'::ltree

-- shapes of results
SELECT
SELECT FROM generate_series(1, 3)
SELECT WHERE false
SELECT 1 AS a, 2 AS a, 3 AS "A", 4 AS "a b", 5 AS "", 6 AS "é", 7 AS "?column?", 8
SELECT 1 AS ""
SELECT NULL, NULL::int, NULL::text, NULL::bytea, NULL::float8, NULL::bool, NULL::int[], NULL::jsonb, NULL::pair, NULL::mood
SELECT NULL::int AS i, NULL::text AS t, NULL::float8 AS f, NULL::bool AS b, NULL::bytea AS y FROM generate_series(1, 20)
SELECT CASE WHEN x % 3 = 0 THEN NULL ELSE x END, CASE WHEN x % 2 = 0 THEN 'even' END, CASE WHEN x = 20 THEN true END FROM generate_series(1, 20) x
VALUES (1, 'a'), (2, NULL), (NULL, 'c')
TABLE "Values of types"
SELECT * FROM "Values of types" WHERE false
SELECT "i", n, vc, c, ts, tz, iv, tm, b, vb, na FROM "Values of types"
SELECT v.*, v FROM "Values of types" v
SELECT count(*), max(vc), min(ts) FROM "Values of types"
WITH RECURSIVE t (n, s) AS (SELECT 1, 'x'::text UNION ALL SELECT n + 1, s || n FROM t WHERE n < 10) SELECT * FROM t
SELECT a, b, count(*), grouping(a) FROM (VALUES (1, 'x'), (1, 'y'), (2, 'x')) v (a, b) GROUP BY ROLLUP (a, b) ORDER BY 1, 2
SELECT x, row_number() OVER w, lag(x) OVER w, sum(x) OVER (w ROWS 1 PRECEDING), ntile(2) OVER w, percent_rank() OVER w FROM generate_series(1, 4) x WINDOW w AS (ORDER BY x)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), mode() WITHIN GROUP (ORDER BY x % 2), percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY x) FROM generate_series(1, 9) x
SELECT * FROM (VALUES (1)) a (x) FULL JOIN (VALUES (2)) b (x) ON a.x = b.x
SELECT DISTINCT ON (x % 2) x, x::text AS t FROM generate_series(1, 5) x ORDER BY x % 2, x DESC
SELECT 1 UNION ALL SELECT 2.5 UNION ALL SELECT NULL
SELECT 'a' INTERSECT SELECT 'a'
SELECT x FROM generate_series(1, 100) x OFFSET 98 ROWS FETCH FIRST 5 ROWS ONLY
SELECT * FROM json_to_record('{"a": 1}') AS r (a numeric(5,2), b varchar(3), c timestamp(2), d bit(4), e interval day to second)
SELECT repeat('0123456789', 10000)
SELECT string_agg(chr(x), '' ORDER BY x) FROM generate_series(1, 55295) x
SELECT string_agg(chr(x), '' ORDER BY x) FROM generate_series(57344, 120000) x
SHOW server_encoding
SHOW DateStyle
SHOW IntervalStyle
EXPLAIN (COSTS OFF) SELECT 1

-- statements that fail
SELECT
SELECT * FROM no_such_table
SELECT no_such_column FROM "Values of types"
SELECT no_such_function(1)
SELECT FROM WHERE
SELECT 1 +
SELECT "unterminated
SELECT 'unterminated
SELECT $$unterminated
SELECT (1, 2
SELECT 1 AS select
SELECT i FROM "Values of types" GROUP BY n
SELECT sum(sum(1))
SELECT 1 WHERE 1
SELECT 'a' + 1
SELECT now() + now()
SELECT ARRAY[1] || 'x'
SELECT CASE 1 WHEN 'x' THEN 2 END
SELECT CAST('x' AS int)
SELECT CAST(1 AS point)
SELECT 1::nosuchtype
SELECT no_such_schema.f(1)
SELECT * FROM generate_series(1, 3) x, y
SELECT (SELECT x FROM generate_series(1, 2) x)
SELECT 1 IN (SELECT 1, 2)
SELECT LIMIT 1
SELECT 1 LIMIT -1
SELECT 1 LIMIT 'x'
SELECT 1 ORDER BY 2
SELECT pg_read_file('/etc/passwd')
SELECT * FROM pg_authid
SELECT lo_get(1)
SELECT nextval('no_such_sequence')
SELECT 'x'::"char"::int, 'abc'::json
SELECT 10 / (x - 3) FROM generate_series(1, 5) x
SELECT 1/(5001 - x) FROM generate_series(1, 6000) x

-- statements that write, each database having its own tables
INSERT INTO scratch VALUES (1, 'one'), (2, NULL), (3, 'drei')
INSERT INTO scratch (id) VALUES (4) RETURNING id, words, id * 2 AS double
INSERT INTO scratch VALUES (1, 'again')
INSERT INTO scratch VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET words = excluded.words RETURNING *
INSERT INTO scratch VALUES (1, 'again') ON CONFLICT DO NOTHING
INSERT INTO scratch VALUES (NULL, 'x')
INSERT INTO scratch VALUES (-1, 'x')
INSERT INTO scratch VALUES (9, repeat('x', 31))
INSERT INTO scratch VALUES ('x', 'x')
INSERT INTO scratch SELECT x, x::text FROM generate_series(10, 20) x
UPDATE scratch SET words = 'zwei' WHERE id = 2
UPDATE scratch SET words = upper(words) WHERE id > 100
UPDATE scratch SET id = id + 100 WHERE id >= 10 RETURNING id
DELETE FROM scratch WHERE id > 115 RETURNING words
DELETE FROM scratch WHERE false
WITH gone AS (DELETE FROM scratch WHERE id > 112 RETURNING id) SELECT count(*) FROM gone
MERGE INTO scratch s USING (VALUES (1, 'm'), (50, 'n')) v (id, words) ON s.id = v.id WHEN MATCHED THEN UPDATE SET words = v.words WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.words)
SELECT * FROM scratch ORDER BY id
CREATE TABLE made (a int GENERATED ALWAYS AS IDENTITY, b text DEFAULT 'x' NOT NULL)
CREATE TABLE made (a int)
CREATE TABLE made_too AS SELECT x FROM generate_series(1, 5) x
CREATE INDEX ON made (b)
ALTER TABLE made ADD COLUMN c numeric(6,3)
INSERT INTO made DEFAULT VALUES RETURNING *
INSERT INTO made (a) VALUES (1)
INSERT INTO made (b, c) VALUES ('y', 999.9996)
SELECT * FROM made
CREATE VIEW seen AS SELECT b, c FROM made
SELECT * FROM seen
TRUNCATE made_too
DROP TABLE made
DROP TABLE made CASCADE
DROP TABLE IF EXISTS made, made_too
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS 'SELECT x * 2'
SELECT twice(21)
CREATE FUNCTION nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'
SELECT nothing()
CREATE FUNCTION fails(code text) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''failed'' USING ERRCODE = code; END'
SELECT fails('P0001')
SELECT fails('XX123')
SELECT fails('22000')
CREATE FUNCTION rows_of(n int) RETURNS SETOF pair LANGUAGE sql AS 'SELECT x, x::text FROM generate_series(1, n) x'
SELECT * FROM rows_of(3)
SELECT rows_of(2)
SELECT (rows_of(2)).words
CREATE FUNCTION anything() RETURNS SETOF record LANGUAGE sql AS 'VALUES (1, ''a''::text), (2, NULL)'
SELECT anything()
SELECT * FROM anything() AS t (a int, b text)
SELECT * FROM anything()
CREATE PROCEDURE answers(INOUT x int, INOUT y text) LANGUAGE plpgsql AS 'BEGIN x := x + 1; y := NULL; END'
CALL answers(1, 'x')
DROP FUNCTION twice
DROP FUNCTION twice
COMMENT ON TABLE scratch IS 'it''s'
ANALYZE scratch
DO $$ BEGIN PERFORM 1; END $$
DO $$ BEGIN RAISE division_by_zero; END $$
