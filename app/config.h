/* Configuration: defaults, then a YAML file, then `--set` assignments; the result is the plain struct sm_config.
 *
 *   struct sm_config *c = sm_config_new();
 *   struct sm_config_report report = {0};
 *   if (sm_config_load(c, "spanmill.yaml", &report) && sm_config_set(c, "windows.idle=2s", &report) &&
 *       sm_config_validate(c, &report))
 *       ... use c ...
 *   else
 *       fputs(sm_config_report_text(&report), stderr);
 *
 * All keys are in config.def: type, range, default and help. Values may contain ${NAME} and ${NAME:-default}, replaced from
 * the environment; `$${` stands for a plain `${`. Every problem is reported, not only the first, each as one line
 * `file:line:column: key: what is wrong`, with the nearest valid name where there is one.
 *
 * Cold path, one thread. Strings belong to the struct. */
#ifndef SM_CONFIG_H
#define SM_CONFIG_H

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/net/http.h"
#include "base/net/inflate.h"
#include "base/secret.h"
#include "ingest/zeromq.h"
#include "pipeline/sink_queue.h"
#include "sinks/otlp.h"
#include "span/codec/codec.h"

#define SM_CONFIG_FILE_SIZE_MAX (1 << 20)

/* Where something was written. */
struct sm_config_pos {
    const char *file; /* as named on the command line; "--set"; NULL for a built-in default */
    uint32_t line;    /* from 1 */
    uint32_t column;  /* from 1, in characters */
};

/* A TraceQL query as text; compiled by whoever uses it. NULL text: none. */
struct sm_config_query {
    char *text;
    struct sm_config_pos pos;     /* of its first byte */
    struct sm_config_pos *places; /* of every byte of the text; NULL when the text does not stand in the file as it is */
};

/* A size, or a share of something that is known only at run time. */
struct sm_config_amount {
    uint64_t bytes; /* when share is 0 */
    double share;
};

struct sm_config_strings {
    char **items;
    size_t n;
};

struct sm_config_header {
    char *name;
    struct sm_secret value;
};

struct sm_config_headers {
    struct sm_config_header *items;
    size_t n;
};

enum sm_config_of { SM_CONFIG_OF_ORIGINAL, SM_CONFIG_OF_ARRIVING };
enum sm_config_else { SM_CONFIG_ELSE_DROP, SM_CONFIG_ELSE_NEXT };

struct sm_config_rule {
    struct sm_config_pos pos;
    char *name;
    struct sm_config_query when;
    bool keep;
    bool drop;
    double ratio; /* negative: unset */
    enum sm_config_of of;
    struct {
        double spans_per_second; /* negative: unset */
        double burst;            /* negative: unset */
    } rate;
    enum sm_config_else otherwise;
    bool shadow;
};

struct sm_config_rules {
    struct sm_config_rule *items;
    size_t n;
};

enum sm_config_priority { SM_CONFIG_PRIORITY_KEEP, SM_CONFIG_PRIORITY_RATE, SM_CONFIG_PRIORITY_OFF };

enum sm_config_sampling { SM_CONFIG_SAMPLING_FILE, SM_CONFIG_SAMPLING_ADAPTIVE };

enum sm_config_sink_type { SM_CONFIG_SINK_OTLP_GRPC, SM_CONFIG_SINK_OTLP_HTTP };

struct sm_config_sink {
    struct sm_config_pos pos;
    char *name;
    enum sm_config_sink_type type;
    char *endpoint;
    struct sm_config_headers headers;
    enum sm_otlp_compression compression;
    int64_t timeout_ns;
    bool http2;
    bool spanmill; /* the other side */
    struct {
        char *ca, *cert, *key; /* NULL: unset */
        bool insecure;
    } tls;
    struct {
        uint32_t spans_max;
        uint64_t bytes_max;
        int64_t linger_ns;
    } batch;
    uint32_t in_flight_max;
    struct sm_sink_retry retry;
    uint64_t queue_bytes_max; /* 0: unset */
};

/* What differs for one listener. NULL and 0: as in the section of the same name. */
struct sm_config_listener {
    struct sm_config_pos pos;
    char *name;
    struct {
        char *cert, *key, *client_ca;
    } tls;
    struct {
        char *tokens, *users;
    } auth;
    struct {
        struct sm_config_strings origins;
    } cors;
    struct sm_http_limits http;
    struct sm_inflate_limits inflate;
    uint64_t zstd_window_bytes_max;
};

struct sm_config_listeners {
    struct sm_config_listener *items;
    size_t n;
};

enum sm_config_tls_version { SM_CONFIG_TLS_1_2, SM_CONFIG_TLS_1_3 };

struct sm_config_sinks {
    struct sm_config_sink *items;
    size_t n;
};

enum sm_config_kafka_encoding {
    SM_CONFIG_KAFKA_AUTO,
    SM_CONFIG_KAFKA_OTLP_PROTO,
    SM_CONFIG_KAFKA_OTLP_JSON,
    SM_CONFIG_KAFKA_ZIPKIN_JSON,
    SM_CONFIG_KAFKA_ZIPKIN_PROTO,
    SM_CONFIG_KAFKA_ZIPKIN_THRIFT,
    SM_CONFIG_KAFKA_JAEGER_PROTO,
    SM_CONFIG_KAFKA_JAEGER_JSON,
    SM_CONFIG_KAFKA_MSGPACK,
};

enum sm_config_kafka_offset { SM_CONFIG_KAFKA_LATEST, SM_CONFIG_KAFKA_EARLIEST };

enum sm_config_sasl { SM_CONFIG_SASL_NONE, SM_CONFIG_SASL_PLAIN, SM_CONFIG_SASL_SCRAM_256, SM_CONFIG_SASL_SCRAM_512 };

struct sm_config_kafka {
    struct sm_config_pos pos;
    char *name;
    struct sm_config_strings brokers, topics;
    char *group;
    enum sm_config_kafka_encoding encoding;
    enum sm_config_kafka_offset initial_offset;
    uint32_t members_max;
    uint64_t message_bytes_max;
    char *dead_letter; /* NULL: none */
    struct {
        bool enabled, insecure;
        char *ca, *cert, *key; /* NULL: unset */
    } tls;
    struct {
        enum sm_config_sasl mechanism;
        char *username, *password_file; /* NULL: unset */
    } sasl;
    struct sm_config_headers options; /* names and values of properties */
};

struct sm_config_file {
    struct sm_config_pos pos;
    char *path; /* a pattern */
    enum sm_config_from { SM_CONFIG_FROM_END, SM_CONFIG_FROM_START } from;
};

struct sm_config_files {
    struct sm_config_file *items;
    size_t n;
};

struct sm_config_kafkas {
    struct sm_config_kafka *items;
    size_t n;
};

struct sm_config {
    uint32_t workers;
    struct {
        /* NULL: off. Those of receivers have the names of their keys. */
#define SM_RECEIVER(key, ...) char *key;
#include "app/receivers.def"
#undef SM_RECEIVER
        char *query, *metrics;
        char *socket_mode; /* octal */
    } listen;
    struct sm_config_kafkas kafka;
    struct sm_config_files files;
    struct {
        char *cert, *key, *client_ca; /* NULL: none */
        enum sm_config_tls_version min_version;
        int64_t handshake_ns;
    } tls;
    struct {
        char *tokens, *users; /* NULL: none */
    } auth;
    struct {
        struct sm_config_strings origins, headers;
        int64_t max_age_ns;
    } cors;
    struct sm_config_listeners listeners;
    struct {
        int64_t after_root_ns, idle_ns, max_age_ns;
        uint32_t max_spans;
        uint64_t max_bytes;
    } windows;
    struct {
        int64_t grace_ns;
        uint64_t memory_bytes;
        uint32_t kept_max, dropped_max;
    } late;
    struct {
        struct sm_config_amount budget;
        double soft, hard, sinks; /* of the budget */
    } memory;
    struct sm_zeromq_options zeromq;
    struct sm_http_limits http;
    struct sm_codec_limits codec;
    struct {
        uint64_t inflated_bytes_max, zstd_window_bytes_max, udp_buffer_bytes;
        uint32_t inflate_ratio_max, datagram_bytes_max;
        uint32_t names_max, scopes_max;
    } limits;
    struct sm_config_rules rules;
    struct {
        enum sm_config_priority priority;
        double priority_spans_per_second;
        enum sm_config_sampling mode;
        char *file; /* NULL: none */
        struct {
            double target, initial, least, lower_bound, tolerance;
            int64_t interval_ns;
            uint32_t intervals, operations_max;
        } adaptive;
    } sampling;
    struct {
        struct {
            bool enabled;
            uint32_t edges_max;
            bool nested_servers;
        } graph;
        struct {
            bool enabled;
            struct sm_config_strings dimensions;
            uint32_t series_max;
        } span_metrics;
    } analysis;
    struct {
        bool enabled;
        char *path;
        int64_t retention_ns;
        struct sm_config_amount size_max;
        int64_t sync_ns;
    } store;
    struct sm_config_sinks sinks;
    struct {
        char *base_path;
    } query;
    struct {
        enum sm_log_level level;
        enum sm_log_format format;
    } log;
    struct sm_config_strings sources; /* names that positions point to */
    struct sm_config_pos *places;     /* of every key outside of lists (sm_config_place) */
};

/* Problems, one line each. */
struct sm_config_report {
    struct sm_buf text;
    unsigned count;
};

#define SM_CONFIG_REPORT_MAX 50 /* further problems are only counted */

void sm_config_report_add(struct sm_config_report *report, const struct sm_config_pos *pos, const char *format, ...)
    SM_PRINTF(3, 4);
/* All lines, terminated; valid until the next add or fini. */
const char *sm_config_report_text(struct sm_config_report *report);
void sm_config_report_fini(struct sm_config_report *report);

/* The built-in defaults. */
struct sm_config *sm_config_new(void);
void sm_config_free(struct sm_config *c);

/* Each returns true when it found nothing wrong; otherwise the report has grown, and keys that were fine are set.
 * sm_config_load_text takes the content of a file, `name` is for messages. sm_config_set takes "key=value"; items of lists are
 * addressed by position or name, `sinks[0].endpoint=...`, `sinks[backup].endpoint=...`, and whole lists and maps take YAML,
 * `rules=[{name: all, ratio: 10%}]`. */
bool sm_config_load(struct sm_config *c, const char *path, struct sm_config_report *report) SM_MUST_USE;
bool sm_config_load_text(struct sm_config *c, const char *name, struct sm_str text, struct sm_config_report *report)
    SM_MUST_USE;
bool sm_config_set(struct sm_config *c, const char *assignment, struct sm_config_report *report) SM_MUST_USE;

/* What no single key can tell: keys that contradict each other, unique names, one action per rule. */
bool sm_config_validate(const struct sm_config *c, struct sm_config_report *report) SM_MUST_USE;

/* Where the value of a key outside of lists ("windows.idle") was written; without file when it is the default. */
const struct sm_config_pos *sm_config_place(const struct sm_config *c, const char *path);

/* Position of a byte of the query, exact where the query stands in the file as it is, else that of its start. */
struct sm_config_pos sm_config_query_pos(const struct sm_config_query *query, size_t offset);

#endif
