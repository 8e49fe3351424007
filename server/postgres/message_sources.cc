#include "server/postgres/message_sources.h"

#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {
namespace {

using Words = absl::flat_hash_set<std::string_view>;

// The tables come from every ereport() and elog() in the sources of PostgreSQL 15 (backend, PL/pgSQL, contrib), read
// for what stands in the place of each "%s" outside of quotation marks, and hold for 16 and 17 too.

// Report what the author of a function wrote: RAISE and ASSERT of PL/pgSQL, plpy.error() and the like.
const Words& AuthorsRoutines() {
  static const auto& words =
      *new Words{"exec_stmt_raise", "exec_stmt_assert", "PLy_output", "do_util_elog", "plperl_util_elog", "pltcl_elog"};
  return words;
}

// Print text without quotation marks that may come out of a value.
const Words& DataRoutines() {
  static const auto& words = *new Words{
      // Names in a text: note::regclass, regproc, regoper, regtype, regcollation; nextval(note),
      // pg_get_object_address().
      "DeconstructQualifiedName", "makeRangeVarFromNameList", "LookupTypeNameExtended", "ExpandColumnRefStar",
      "transformColumnRef", "regoperin", "regoperatorin", "get_object_address_opf_member", "to_ascii_encname",
      // Names in a command that a function made of a value.
      "setSchemaName", "interpret_function_parameter_list", "OperatorCreate", "IsThereFunctionInNamespace",
      "addFamilyMember", "storeOperators", "storeProcedures", "dropOperators", "dropProcedures", "DefineCollation",
      "transformRangeTableSample",
      // Values of options and settings.
      "parse_one_reloption", "substitute_libpath_macro", "internal_load_library", "unicode_norm_form_from_string",
      "call_bool_check_hook", "call_int_check_hook", "call_real_check_hook", "call_string_check_hook",
      "call_enum_check_hook",
      // Bytes and characters of a value.
      "report_invalid_encoding", "report_invalid_encoding_int", "report_untranslatable_char", "string2ean", "chr",
      // Its hint names the key of a JSON value.
      "populate_array_report_expected_array",
      // The text of a query.
      "query_to_oid_list", "xpath_table"};
  return words;
}

// Name what stands in the statement or in the catalogue, and see no text of a value: the rewriter, planner, executor.
const Words& NameFiles() {
  static const auto& words = *new Words{"rewriteDefine.c",
                                        "rewriteHandler.c",
                                        "rewriteManip.c",
                                        "rewriteRemove.c",
                                        "rewriteSearchCycle.c",
                                        "rowsecurity.c",
                                        "analyzejoins.c",
                                        "appendinfo.c",
                                        "clauses.c",
                                        "createplan.c",
                                        "inherit.c",
                                        "initsplan.c",
                                        "plancat.c",
                                        "planner.c",
                                        "prepjointree.c",
                                        "preptlist.c",
                                        "prepunion.c",
                                        "setrefs.c",
                                        "subselect.c",
                                        "execCurrent.c",
                                        "execExpr.c",
                                        "execExprInterp.c",
                                        "execIndexing.c",
                                        "execMain.c",
                                        "execPartition.c",
                                        "execReplication.c",
                                        "execSRF.c",
                                        "execTuples.c",
                                        "execUtils.c",
                                        "functions.c",
                                        "nodeAgg.c",
                                        "nodeForeignscan.c",
                                        "nodeFunctionscan.c",
                                        "nodeHash.c",
                                        "nodeLimit.c",
                                        "nodeLockRows.c",
                                        "nodeMergejoin.c",
                                        "nodeModifyTable.c",
                                        "nodeSamplescan.c",
                                        "nodeSubplan.c",
                                        "nodeTableFuncscan.c",
                                        "nodeTidscan.c",
                                        "nodeWindowAgg.c",
                                        "spi.c",
                                        "pquery.c",
                                        "plancache.c"};
  return words;
}

// Report a violation by the names of the constraint, the table and the column; the values are in the DETAIL.
const Words& ConstraintFiles() {
  static const auto& words = *new Words{"domains.c",       "execExprInterp.c", "execIndexing.c",      "execMain.c",
                                        "execPartition.c", "nbtinsert.c",      "partbounds.c",        "ri_triggers.c",
                                        "tablecmds.c",     "tuplesort.c",      "tuplesortvariants.c", "typecmds.c"};
  return words;
}

// Print nothing of a value outside of quotation marks, but for the routines above.
const Words& QuotingFiles() {
  static const auto& words = *new Words{
      // access
      "attmap.c", "bernoulli.c", "brin.c", "brin_minmax_multi.c", "brin_pageops.c", "commit_ts.c", "detoast.c",
      "genam.c", "ginbulk.c", "gindatapage.c", "ginentrypage.c", "ginfast.c", "gininsert.c", "ginscan.c", "ginutil.c",
      "gist.c", "gistbuild.c", "gistsplit.c", "gistutil.c", "hash.c", "hashinsert.c", "hashovfl.c", "hashpage.c",
      "hashutil.c", "heapam.c", "heapam_handler.c", "heaptoast.c", "heaptuple.c", "hio.c", "indexam.c", "indextuple.c",
      "multixact.c", "nbtdedup.c", "nbtinsert.c", "nbtpage.c", "nbtsearch.c", "nbtsort.c", "nbtsplitloc.c",
      "nbtutils.c", "parallel.c", "printtup.c", "reloptions.c", "rewriteheap.c", "slru.c", "spgdoinsert.c",
      "spginsert.c", "spgscan.c", "spgtextproc.c", "spgutils.c", "subtrans.c", "tableam.c", "tablesample.c",
      "toast_compression.c", "toast_internals.c", "tupdesc.c", "twophase.c", "varsup.c", "visibilitymap.c", "xact.c",
      "xlogfuncs.c",
      // catalog
      "aclchk.c", "catalog.c", "dependency.c", "heap.c", "index.c", "namespace.c", "objectaddress.c", "pg_aggregate.c",
      "pg_attrdef.c", "pg_cast.c", "pg_collation.c", "pg_constraint.c", "pg_conversion.c", "pg_depend.c", "pg_enum.c",
      "pg_inherits.c", "pg_largeobject.c", "pg_namespace.c", "pg_operator.c", "pg_parameter_acl.c", "pg_proc.c",
      "pg_publication.c", "pg_shdepend.c", "pg_type.c", "storage.c", "toasting.c",
      // commands
      "aggregatecmds.c", "alter.c", "amcmds.c", "async.c", "cluster.c", "collationcmds.c", "comment.c", "constraint.c",
      "conversioncmds.c", "copyfrom.c", "copyfromparse.c", "copyto.c", "createas.c", "dbcommands.c", "discard.c",
      "dropcmds.c", "event_trigger.c", "explain.c", "extension.c", "foreigncmds.c", "functioncmds.c", "indexcmds.c",
      "lockcmds.c", "matview.c", "opclasscmds.c", "operatorcmds.c", "policy.c", "portalcmds.c", "prepare.c",
      "proclang.c", "publicationcmds.c", "schemacmds.c", "seclabel.c", "sequence.c", "statscmds.c", "tablecmds.c",
      "tablespace.c", "trigger.c", "tsearchcmds.c", "typecmds.c", "user.c", "vacuum.c", "variable.c", "view.c",
      "foreign.c",
      // parser; what its grammar reports without a position is about a type's name in a value
      "analyze.c", "parse_agg.c", "parse_clause.c", "parse_coerce.c", "parse_collate.c", "parse_cte.c", "parse_expr.c",
      "parse_func.c", "parse_jsontable.c", "parse_merge.c", "parse_node.c", "parse_oper.c", "parse_param.c",
      "parse_relation.c", "parse_target.c", "parse_type.c", "parse_utilcmd.c", "scan.l", "scan.c", "partbounds.c",
      "partdesc.c", "partprune.c", "dependencies.c", "extended_stats.c", "mcv.c", "mvdistinct.c",
      // storage, traffic
      "be-fsstubs.c", "buffile.c", "bufmgr.c", "bufpage.c", "deadlock.c", "dsm.c", "dsm_impl.c", "fastpath.c", "fd.c",
      "inv_api.c", "localbuf.c", "lock.c", "lwlock.c", "md.c", "postgres.c", "predicate.c", "proc.c", "procarray.c",
      "shm_mq.c", "signalfuncs.c", "smgr.c", "utility.c",
      // text search
      "dict_ispell.c", "dict_simple.c", "dict_snowball.c", "dict_synonym.c", "dict_thesaurus.c", "regis.c", "spell.c",
      "to_tsany.c", "ts_locale.c", "ts_parse.c", "ts_selfuncs.c", "ts_utils.c", "wparser.c", "wparser_def.c",
      // data types and functions
      "acl.c", "array_expanded.c", "array_userfuncs.c", "arrayfuncs.c", "arraysubs.c", "arrayutils.c", "ascii.c",
      "bool.c", "cash.c", "char.c", "cryptohashfuncs.c", "date.c", "datetime.c", "datum.c", "dbsize.c", "domains.c",
      "encode.c", "enum.c", "expandedrecord.c", "float.c", "format_type.c", "formatting.c", "genfile.c", "geo_ops.c",
      "geo_spgist.c", "int.c", "int8.c", "json.c", "jsonb.c", "jsonb_gin.c", "jsonb_util.c", "jsonbsubs.c",
      "jsonfuncs.c", "jsonpath.c", "jsonpath_exec.c", "jsonpath_gram.c", "jsonpath_gram.y", "jsonpath_scan.c",
      "jsonpath_scan.l", "levenshtein.c", "like.c", "like_match.c", "like_support.c", "lockfuncs.c", "mac.c", "mac8.c",
      "mcxtfuncs.c", "misc.c", "multirangetypes.c", "name.c", "network.c", "numeric.c", "numutils.c", "oid.c",
      "oracle_compat.c", "orderedsetaggs.c", "pg_locale.c", "pg_lsn.c", "pgstatfuncs.c", "pseudotypes.c",
      "rangetypes.c", "regexp.c", "regproc.c", "ri_triggers.c", "rowtypes.c", "ruleutils.c", "selfuncs.c", "tid.c",
      "timestamp.c", "trigfuncs.c", "tsginidx.c", "tsgistidx.c", "tsquery.c", "tsquery_op.c", "tsquery_rewrite.c",
      "tsquery_util.c", "tsrank.c", "tsvector.c", "tsvector_op.c", "tsvector_parser.c", "uuid.c", "varbit.c",
      "varchar.c", "varlena.c", "windowfuncs.c", "xid.c", "xid8funcs.c", "xml.c",
      // what they stand on
      "catcache.c", "conv.c", "dfmgr.c", "dsa.c", "dynahash.c", "fmgr.c", "funcapi.c", "guc.c", "guc_funcs.c",
      "inval.c", "logtape.c", "lsyscache.c", "mbutils.c", "mcxt.c", "miscinit.c", "partcache.c", "portalmem.c",
      "relcache.c", "relfilenodemap.c", "relfilenumbermap.c", "rls.c", "sharedtuplestore.c", "snapmgr.c",
      "sortsupport.c", "stringinfo.c", "syscache.c", "timeout.c", "ts_cache.c", "tuplesort.c", "tuplesortvariants.c",
      "tuplestore.c", "typcache.c",
      // PL/pgSQL, and contrib's types and functions
      "pl_comp.c", "pl_exec.c", "pl_funcs.c", "pl_handler.c", "pl_scanner.c", "citext.c", "cube.c", "cubeparse.y",
      "cubeparse.c", "_int_bool.c", "_int_op.c", "fuzzystrmatch.c", "hstore_io.c", "hstore_op.c", "hstore_subs.c",
      "isn.c", "ltree_io.c", "ltree_op.c", "ltxtquery_io.c", "lquery_op.c", "_ltree_op.c", "pgcrypto.c", "pgp-armor.c",
      "pgp-pgsql.c", "px.c", "crypt-blowfish.c", "crypt-des.c", "seg.c", "segparse.y", "segparse.c", "tablefunc.c",
      "trgm_op.c", "trgm_regexp.c", "unaccent.c", "uuid-ossp.c"};
  return words;
}

}  // namespace

MessageKind KindOfMessage(const MessageSource& source) {
  if (AuthorsRoutines().contains(source.routine)) return MessageKind::kAuthored;
  if (DataRoutines().contains(source.routine)) return MessageKind::kData;
  const MessageSubject subject = MessageFactsOf(source.sqlstate).subject;
  if (subject == MessageSubject::kSignature) return MessageKind::kData;
  if (subject == MessageSubject::kConstraint && ConstraintFiles().contains(source.file)) return MessageKind::kNames;
  const bool names = NameFiles().contains(source.file);
  if (names || QuotingFiles().contains(source.file)) {
    if (subject == MessageSubject::kValue) return MessageKind::kQuotesValues;
    return names ? MessageKind::kNames : MessageKind::kQuotesNames;
  }
  return subject == MessageSubject::kState ? MessageKind::kQuotesNames : MessageKind::kData;
}

}  // namespace engine::db::postgres
