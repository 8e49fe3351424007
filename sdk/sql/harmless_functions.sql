-- Writes harmless_functions.inc: the functions of pg_catalog that a statement may call and still be a read, as functions.h defines it.
--   psql -X -At -f harmless_functions.sql > harmless_functions.inc
-- Made with PostgreSQL 15; the functions of later versions are named below, by hand.
--
-- In: what PostgreSQL itself calls immutable or stable, plus the volatile ones that only look. A name is in only when every
-- overload of it is. Out: what SQL text cannot call (internal arguments and results), and what only serves operators,
-- indexes and aggregates, so that the list stays readable.
with
volatile_but_harmless(name) as (values
  ('clock_timestamp'), ('current_query'), ('gen_random_uuid'), ('pg_blocking_pids'), ('pg_collation_actual_version'),
  ('pg_control_checkpoint'), ('pg_control_init'), ('pg_control_recovery'), ('pg_control_system'), ('pg_current_logfile'),
  ('pg_current_wal_flush_lsn'), ('pg_current_wal_insert_lsn'), ('pg_current_wal_lsn'), ('pg_database_collation_actual_version'),
  ('pg_database_size'), ('pg_get_wal_replay_pause_state'), ('pg_indexes_size'), ('pg_is_in_recovery'),
  ('pg_is_wal_replay_paused'), ('pg_jit_available'), ('pg_last_committed_xact'), ('pg_last_wal_receive_lsn'),
  ('pg_last_wal_replay_lsn'), ('pg_last_xact_replay_timestamp'), ('pg_lock_status'), ('pg_notification_queue_usage'),
  ('pg_partition_ancestors'), ('pg_partition_tree'), ('pg_relation_size'), ('pg_safe_snapshot_blocking_pids'), ('pg_sleep'),
  ('pg_sleep_for'), ('pg_sleep_until'), ('pg_table_size'), ('pg_tablespace_size'), ('pg_total_relation_size'),
  ('pg_xact_commit_timestamp'), ('pg_xact_commit_timestamp_origin'), ('pg_xact_status'), ('random'), ('timeofday'),
  ('txid_status')),
-- They give the transaction an id, which is written down, although PostgreSQL calls them stable.
stable_but_not_harmless(name) as (values ('pg_current_xact_id'), ('txid_current')),
-- Serve operators, but people call them by name (jsonb_exists because "?" was in the way).
operators_called_by_name(name) as (values
  ('jsonb_concat'), ('jsonb_contained'), ('jsonb_contains'), ('jsonb_exists'), ('jsonb_exists_all'), ('jsonb_exists_any'),
  ('mod'), ('pow'), ('power'), ('starts_with')),
later_versions(name) as (values
  ('any_value'), ('array_reverse'), ('array_sample'), ('array_shuffle'), ('array_sort'), ('casefold'), ('crc32'), ('crc32c'),
  ('date_add'), ('date_subtract'), ('erf'), ('erfc'), ('gamma'), ('json_array'), ('json_arrayagg'), ('json_objectagg'), ('lgamma'),
  ('pg_input_error_info'), ('pg_input_is_valid'), ('random_normal'), ('system_user'), ('to_bin'), ('to_oct'),
  ('unicode_assigned'), ('uuid_extract_timestamp'), ('uuid_extract_version'), ('xmltext')),
callable as (
  select p.proname as name, bool_and(p.provolatile <> 'v') as not_volatile,
         bool_and(coalesce(d.description, '') like 'implementation of % operator' or p.prosrc like '%typmodin'
                  or p.proname like any (array['%\_send', '%send', '%\_accum', '%\_combine', '%\_validator', '%extended', 'bt%cmp',
                                               'hash%', '%\_hash', '%\_subdiff', '%\_canonical', 'float8\_%', 'int_\_sum',
                                               'binary\_upgrade\_%', 'pg\_event\_trigger\_%'])) as only_serves
  from pg_proc p
  left join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
  where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f', 'a', 'w')
    and not exists (select from unnest(p.proargtypes) a where a in ('internal'::regtype, 'cstring'::regtype))
    and p.prorettype <> all (array['internal', 'cstring', 'trigger', 'event_trigger', 'language_handler', 'fdw_handler',
                                   'index_am_handler', 'table_am_handler', 'tsm_handler']::regtype[])
  group by p.proname)
select format('"%s",', name)
from (
  select name::text from callable where not_volatile and not only_serves
  union select name from volatile_but_harmless
  union select name from operators_called_by_name
  union select name from later_versions
  except select name from stable_but_not_harmless) harmless
order by name collate "C";
