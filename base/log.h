/* Own log: one logfmt line per event on standard error, `ts=2026-01-02T03:04:05.678Z level=info event=listening addr=...`.
 *
 *   sm_log(SM_LOG_INFO, "listening", sm_kv("proto", "otlp_http"), sm_kv("addr", address), sm_kv("port", port));
 *
 * Event names and keys are literals in snake_case; values are typed by the compiler (_Generic): strings (char *, struct sm_str),
 * integers, double, bool, and durations with sm_kv_ns. A struct sm_secret is no such type, so logging one does not compile.
 * Values are quoted where needed and everything that a terminal or a parser could trip over is escaped (control characters,
 * quotes, invalid UTF-8, direction overrides), so that values from outside are safe. Long values and lines are cut, marked
 * by "...".
 *
 * Any thread. A line is one write(2), so lines never mix. A call site writes SM_LOG_SITE_LINES lines per SM_LOG_SITE_WINDOW_NS;
 * what it holds back is counted, reported as `suppressed=N` on its next line and on sm_log_finish. No allocation, no lock.
 * Never a line per span: the data path counts (pipeline/stats.h), it does not log. */
#ifndef SM_LOG_H
#define SM_LOG_H

#include "base/base.h"

#include <stdatomic.h>

enum sm_log_level { SM_LOG_DEBUG, SM_LOG_INFO, SM_LOG_WARN, SM_LOG_ERROR };

enum sm_log_format {
    SM_LOG_AUTO,   /* plain on a terminal, else logfmt */
    SM_LOG_LOGFMT, /* for machines */
    SM_LOG_PLAIN,  /* `03:04:05 INFO  listening addr=...`, local time */
};

#define SM_LOG_SITE_LINES     10
#define SM_LOG_SITE_WINDOW_NS (10 * SM_SEC)
#define SM_LOG_VALUE_MAX      1024 /* bytes of a value after escaping */
#define SM_LOG_LINE_MAX       4096

struct sm_log_config {
    enum sm_log_level level; /* lines below it are not written */
    enum sm_log_format format;
    int fd;                   /* where lines go */
    int64_t (*now_ns)(void);  /* wall clock; NULL: the system's */
};

/* Before other threads log; without it: info, logfmt, standard error. */
void sm_log_setup(const struct sm_log_config *config);

/* Reports what call sites still hold back. At the end of the process, or in tests. */
void sm_log_finish(void);

/* Cheap test for callers that would have to compute values first. */
bool sm_log_enabled(enum sm_log_level level);

const char *sm_log_level_name(enum sm_log_level level);

enum sm_log_type { SM_LOG_STR, SM_LOG_INT, SM_LOG_UINT, SM_LOG_REAL, SM_LOG_BOOL, SM_LOG_NS };

struct sm_log_field {
    const char *key; /* NULL: the terminator in front of the fields */
    enum sm_log_type type;
    union {
        struct sm_str str;
        int64_t integer; /* also SM_LOG_NS */
        uint64_t natural;
        double real;
        bool boolean;
    };
};

/* One per call of sm_log in the source; all zeros at first. */
struct sm_log_site {
    _Atomic int64_t window_start_ns;
    _Atomic uint32_t lines; /* in this window */
    _Atomic uint64_t suppressed;
    _Atomic bool listed;
    struct sm_log_site *next; /* all sites that ever held something back */
    const char *event;
};

#define sm_log(log_level, log_event, ...)                                                                              \
    do {                                                                                                               \
        static struct sm_log_site log_site_;                                                                           \
        const struct sm_log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__};                                      \
        sm_log_write(&log_site_, (log_level), (log_event), log_fields_ + 1, SM_ARRAY_LEN(log_fields_) - 1);            \
    } while (0)

#define sm_kv(key, value)                                                                                              \
    _Generic((value),                                                                                                  \
        char *: sm_log_kv_c,                                                                                           \
        const char *: sm_log_kv_c,                                                                                     \
        struct sm_str: sm_log_kv_str,                                                                                  \
        bool: sm_log_kv_bool,                                                                                          \
        signed char: sm_log_kv_int,                                                                                    \
        short: sm_log_kv_int,                                                                                          \
        int: sm_log_kv_int,                                                                                            \
        long: sm_log_kv_int,                                                                                           \
        long long: sm_log_kv_int,                                                                                      \
        unsigned char: sm_log_kv_uint,                                                                                 \
        unsigned short: sm_log_kv_uint,                                                                                \
        unsigned: sm_log_kv_uint,                                                                                      \
        unsigned long: sm_log_kv_uint,                                                                                 \
        unsigned long long: sm_log_kv_uint,                                                                            \
        double: sm_log_kv_real)((key), (value))

/* A duration in nanoseconds, written with a unit: 1.5s, 20ms. */
static inline struct sm_log_field sm_kv_ns(const char *key, int64_t ns)
{
    return (struct sm_log_field){.key = key, .type = SM_LOG_NS, .integer = ns};
}

static inline struct sm_log_field sm_log_kv_str(const char *key, struct sm_str value)
{
    return (struct sm_log_field){.key = key, .type = SM_LOG_STR, .str = value};
}

static inline struct sm_log_field sm_log_kv_c(const char *key, const char *value)
{
    return sm_log_kv_str(key, value ? sm_str_c(value) : SM_STR("(null)"));
}

static inline struct sm_log_field sm_log_kv_int(const char *key, int64_t value)
{
    return (struct sm_log_field){.key = key, .type = SM_LOG_INT, .integer = value};
}

static inline struct sm_log_field sm_log_kv_uint(const char *key, uint64_t value)
{
    return (struct sm_log_field){.key = key, .type = SM_LOG_UINT, .natural = value};
}

static inline struct sm_log_field sm_log_kv_real(const char *key, double value)
{
    return (struct sm_log_field){.key = key, .type = SM_LOG_REAL, .real = value};
}

static inline struct sm_log_field sm_log_kv_bool(const char *key, bool value)
{
    return (struct sm_log_field){.key = key, .type = SM_LOG_BOOL, .boolean = value};
}

/* Behind sm_log. */
void sm_log_write(struct sm_log_site *site, enum sm_log_level level, const char *event, const struct sm_log_field *fields,
                  size_t n_fields) SM_COLD;

#endif
