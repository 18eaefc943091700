/* Log lines: formatting, escaping, the limit per call site. */
#include "base/log.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static int64_t system_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * SM_SEC + ts.tv_nsec;
}

static struct {
    enum sm_log_level level;
    enum sm_log_format format;
    int fd;
    int64_t (*now_ns)(void);
    struct sm_log_site *_Atomic held_back; /* sites that ever suppressed a line */
} log_state = {.level = SM_LOG_INFO, .format = SM_LOG_LOGFMT, .fd = STDERR_FILENO, .now_ns = system_now_ns};

/* A line under construction. Once something did not fit, it is full and nothing more is added. */
struct line {
    size_t len;
    bool full;
    char text[SM_LOG_LINE_MAX];
};

/* Kept free for the mark of a cut, a closing quote and the line feed. */
enum { LINE_TAIL = 8 };

void sm_log_setup(const struct sm_log_config *config)
{
    log_state.level = config->level;
    log_state.format = config->format;
    log_state.fd = config->fd;
    log_state.now_ns = config->now_ns ? config->now_ns : system_now_ns;
    if (log_state.format == SM_LOG_AUTO)
        log_state.format = isatty(config->fd) ? SM_LOG_PLAIN : SM_LOG_LOGFMT;
}

bool sm_log_enabled(enum sm_log_level level)
{
    return level >= log_state.level;
}

const char *sm_log_level_name(enum sm_log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return (size_t)level < SM_ARRAY_LEN(names) ? names[level] : "error";
}

static void put_tail(struct line *l, const char *bytes, size_t n)
{
    memcpy(l->text + l->len, bytes, n);
    l->len += n;
}

/* False when the bytes do not fit; then none is added, so that no character or escape is cut in two. */
static bool put(struct line *l, const char *bytes, size_t n)
{
    if (l->full || l->len + n > sizeof l->text - LINE_TAIL) {
        l->full = true;
        return false;
    }
    put_tail(l, bytes, n);
    return true;
}

static SM_PRINTF(2, 3) void put_format(struct line *l, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(l, text, SM_MIN((size_t)SM_MAX(n, 0), sizeof text - 1));
}

/* Characters that are valid UTF-8 but act on a terminal or turn the text around: C1 controls, line and paragraph separators,
 * direction marks, overrides and isolates, the byte order mark. */
static bool is_unsafe(const uint8_t *p, size_t len)
{
    if (len == 2)
        return p[0] == 0xc2 && p[1] < 0xa0;
    if (len != 3)
        return false;
    unsigned c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Length of the character at p that can stand in a quoted value as it is; 0 when its first byte needs escaping. */
static size_t plain_char(const uint8_t *p, const uint8_t *end)
{
    size_t len = sm_utf8_char(p, end);
    if (len == 1)
        return *p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\' ? 0 : 1;
    return len && !is_unsafe(p, len) ? len : 0;
}

static bool needs_quotes(struct sm_str value)
{
    if (value.len == 0)
        return true;
    const uint8_t *p = (const uint8_t *)value.ptr, *end = p + value.len;
    while (p < end) {
        size_t len = plain_char(p, end);
        if (len == 0 || *p == ' ' || *p == '=')
            return true;
        p += len;
    }
    return false;
}

static size_t escape(uint8_t c, char out[4])
{
    static const char hex[] = "0123456789abcdef";
    static const char short_for[] = {['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};
    out[0] = '\\';
    if (c < sizeof short_for && short_for[c]) {
        out[1] = short_for[c];
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

static void put_escaped(struct line *l, struct sm_str value)
{
    const uint8_t *p = (const uint8_t *)value.ptr, *end = value.len ? p + value.len : p; /* a text of no bytes may be NULL */
    size_t limit = l->len + SM_LOG_VALUE_MAX;
    while (p < end) {
        size_t len = plain_char(p, end);
        char escaped[4];
        size_t n = len ? len : escape(*p, escaped);
        if (l->len + n > limit || !put(l, len ? (const char *)p : escaped, n)) {
            put_tail(l, "...", 3);
            return;
        }
        p += len ? len : 1;
    }
}

static void put_string(struct line *l, struct sm_str value)
{
    if (!needs_quotes(value)) {
        put_escaped(l, value);
        return;
    }
    if (!put(l, "\"", 1))
        return;
    put_escaped(l, value);
    put_tail(l, "\"", 1);
}

static void put_duration(struct line *l, int64_t ns)
{
    double magnitude = ns < 0 ? -(double)ns : (double)ns;
    if (magnitude >= 1e9)
        put_format(l, "%.6gs", (double)ns / 1e9);
    else if (magnitude >= 1e6)
        put_format(l, "%.6gms", (double)ns / 1e6);
    else if (magnitude >= 1e3)
        put_format(l, "%.6gus", (double)ns / 1e3);
    else
        put_format(l, "%" PRId64 "ns", ns);
}

static void put_value(struct line *l, const struct sm_log_field *f)
{
    switch (f->type) {
    case SM_LOG_STR:
        put_string(l, f->str);
        break;
    case SM_LOG_INT:
        put_format(l, "%" PRId64, f->integer);
        break;
    case SM_LOG_UINT:
        put_format(l, "%" PRIu64, f->natural);
        break;
    case SM_LOG_REAL:
        put_format(l, "%.6g", f->real);
        break;
    case SM_LOG_BOOL:
        put_format(l, "%s", f->boolean ? "true" : "false");
        break;
    case SM_LOG_NS:
        put_duration(l, f->integer);
        break;
    }
}

static void start_line(struct line *l, int64_t now_ns, enum sm_log_level level, const char *event)
{
    l->len = 0;
    l->full = false;
    static const char *const shouted[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    time_t seconds = (time_t)(now_ns / SM_SEC);
    struct tm tm;
    char when[32];
    if (log_state.format == SM_LOG_PLAIN) {
        strftime(when, sizeof when, "%H:%M:%S", localtime_r(&seconds, &tm));
        put_format(l, "%s %s %s", when, shouted[level], event);
        return;
    }
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    put_format(l, "ts=%s.%03dZ level=%s event=%s", when, (int)(now_ns % SM_SEC / SM_MS), sm_log_level_name(level), event);
}

static void put_field(struct line *l, const struct sm_log_field *f)
{
    size_t before = l->len;
    if (!put(l, " ", 1) || !put(l, f->key, strlen(f->key)) || !put(l, "=", 1)) {
        l->len = before;
        return;
    }
    put_value(l, f);
}

/* One write per line; what the kernel does not take at once follows, an error gives the line up. */
static void write_line(struct line *l)
{
    l->text[l->len++] = '\n';
    size_t done = 0;
    while (done < l->len) {
        ssize_t n = write(log_state.fd, l->text + done, l->len - done);
        if (n < 0 && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
}

static void list_site(struct sm_log_site *site, const char *event)
{
    if (atomic_exchange(&site->listed, true))
        return;
    site->event = event;
    site->next = atomic_load(&log_state.held_back);
    while (!atomic_compare_exchange_weak(&log_state.held_back, &site->next, site))
        ;
}

/* True when the site may write a line now. Two threads that open a window at the same time may let a few lines more through. */
static bool site_allows(struct sm_log_site *site, const char *event, int64_t now_ns)
{
    int64_t start = atomic_load_explicit(&site->window_start_ns, memory_order_relaxed);
    if (now_ns - start >= SM_LOG_SITE_WINDOW_NS || now_ns < start) {
        atomic_store_explicit(&site->window_start_ns, now_ns, memory_order_relaxed);
        atomic_store_explicit(&site->lines, 0, memory_order_relaxed);
    }
    if (atomic_fetch_add_explicit(&site->lines, 1, memory_order_relaxed) < SM_LOG_SITE_LINES)
        return true;
    atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
    list_site(site, event);
    return false;
}

void sm_log_write(struct sm_log_site *site, enum sm_log_level level, const char *event, const struct sm_log_field *fields,
                  size_t n_fields)
{
    if (!sm_log_enabled(level))
        return;
    int64_t now_ns = log_state.now_ns();
    if (!site_allows(site, event, now_ns))
        return;
    struct line l;
    start_line(&l, now_ns, level, event);
    for (size_t i = 0; i < n_fields; i++)
        put_field(&l, &fields[i]);
    uint64_t suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
    if (suppressed)
        put_field(&l, &(struct sm_log_field){.key = "suppressed", .type = SM_LOG_UINT, .natural = suppressed});
    write_line(&l);
}

void sm_log_finish(void)
{
    struct sm_log_site *site = atomic_load(&log_state.held_back);
    for (; site; site = site->next) {
        uint64_t suppressed = atomic_exchange(&site->suppressed, 0);
        if (!suppressed)
            continue;
        struct line l;
        start_line(&l, log_state.now_ns(), SM_LOG_INFO, "log_lines_suppressed");
        put_field(&l, &(struct sm_log_field){.key = "of", .type = SM_LOG_STR, .str = sm_str_c(site->event)});
        put_field(&l, &(struct sm_log_field){.key = "suppressed", .type = SM_LOG_UINT, .natural = suppressed});
        write_line(&l);
    }
}
