#include "tests/unit/store/fixture.h"
#include "base/pb.h"
#include "span/attr.h"
#include "store/format.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void put_bytes(struct sm_buf *b, uint32_t field, const void *bytes, size_t size)
{
    sm_buf_reserve(b, sm_pb_bytes_size(field, size));
    b->size = (size_t)(sm_pb_put_bytes(b->data + b->size, field, bytes, size) - b->data);
}

static void put_uint(struct sm_buf *b, uint32_t field, uint64_t v)
{
    sm_buf_reserve(b, 20);
    b->size = (size_t)(sm_pb_put_uint(b->data + b->size, field, v) - b->data);
}

static void put_fixed64(struct sm_buf *b, uint32_t field, uint64_t v)
{
    sm_buf_reserve(b, 20);
    b->size = (size_t)(sm_pb_put_fixed64(b->data + b->size, field, v) - b->data);
}

static void put_attribute(struct sm_buf *b, uint32_t field, const char *key, const char *value)
{
    struct sm_buf any = {0}, kv = {0};
    if (value[0] == '#')
        put_uint(&any, 3, strtoull(value + 1, NULL, 10));
    else
        put_bytes(&any, 1, value, strlen(value));
    put_bytes(&kv, 1, key, strlen(key));
    put_bytes(&kv, 2, any.data, any.size);
    put_bytes(b, field, kv.data, kv.size);
    sm_buf_fini(&any);
    sm_buf_fini(&kv);
}

static void put_span(struct sm_buf *b, struct sm_trace_id id, const struct fx_span *s)
{
    uint8_t trace_id[16], span_id[8];
    sm_store_be64(trace_id, id.hi);
    sm_store_be64(trace_id + 8, id.lo);
    sm_store_be64(span_id, s->id);
    put_bytes(b, SM_OTLP_TRACE_ID, trace_id, 16);
    put_bytes(b, SM_OTLP_SPAN_ID, span_id, 8);
    if (s->parent) {
        sm_store_be64(span_id, s->parent);
        put_bytes(b, SM_OTLP_PARENT_SPAN_ID, span_id, 8);
    }
    if (s->trace_state)
        put_bytes(b, SM_OTLP_TRACE_STATE, s->trace_state, strlen(s->trace_state));
    put_bytes(b, SM_OTLP_NAME, s->name, strlen(s->name));
    put_uint(b, SM_OTLP_KIND, s->kind);
    put_fixed64(b, SM_OTLP_START, s->start_us * 1000);
    put_fixed64(b, SM_OTLP_END, (s->start_us + s->duration_us) * 1000);
    for (unsigned i = 0; i + 1 < SM_ARRAY_LEN(s->attributes) && s->attributes[i]; i += 2)
        put_attribute(b, SM_OTLP_ATTRIBUTES, s->attributes[i], s->attributes[i + 1]);
    if (s->event) {
        struct sm_buf event = {0};
        put_bytes(&event, 2, s->event, strlen(s->event));
        put_bytes(b, SM_OTLP_EVENTS, event.data, event.size);
        sm_buf_fini(&event);
    }
    if (s->status) {
        struct sm_buf status = {0};
        if (s->status_message)
            put_bytes(&status, 2, s->status_message, strlen(s->status_message));
        put_uint(&status, 3, s->status);
        put_bytes(b, SM_OTLP_STATUS, status.data, status.size);
        sm_buf_fini(&status);
    }
}

static struct sm_str shared_view(struct fx_trace *t, uint32_t i, uint32_t part)
{
    struct sm_str mine = sm_buf_str(&t->bytes[i * 3 + part]);
    for (uint32_t j = 0; j < i; j++) {
        struct sm_str other = sm_buf_str(&t->bytes[j * 3 + part]);
        if (sm_str_eq(mine, other))
            return other;
    }
    return mine;
}

struct fx_trace fx_trace(struct sm_trace_id id, const struct fx_span *spans, uint32_t count)
{
    struct fx_trace t = {.spans = calloc(count + 1, sizeof *t.spans), .bytes = calloc(count * 3 + 1, sizeof *t.bytes)};
    for (uint32_t i = 0; i < count; i++) {
        put_span(&t.bytes[i * 3], id, &spans[i]);
        if (spans[i].service)
            put_attribute(&t.bytes[i * 3 + 1], 1, "service.name", spans[i].service);
        if (spans[i].resource_attribute[0])
            put_attribute(&t.bytes[i * 3 + 1], 1, spans[i].resource_attribute[0], spans[i].resource_attribute[1]);
        if (spans[i].scope)
            put_bytes(&t.bytes[i * 3 + 2], 1, spans[i].scope, strlen(spans[i].scope));
        struct sm_encode_span encode = {.bytes = sm_buf_str(&t.bytes[i * 3]),
                                        .resource = shared_view(&t, i, 1),
                                        .scope = shared_view(&t, i, 2)};
        sm_store_describe(&encode, &t.spans[i]);
    }
    t.trace.spans = t.spans;
    t.trace.meta = (struct sm_store_meta){.id = id, .verdict = SM_VERDICT_KEPT, .trigger = SM_TRIGGER_ROOT};
    sm_store_summarise(t.spans, count, &t.trace.meta);
    t.trace.meta.stored_ns = t.trace.meta.end_ns ? (int64_t)t.trace.meta.end_ns + SM_SEC : (int64_t)FX_BASE_NS;
    return t;
}

void fx_trace_free(struct fx_trace *t)
{
    for (uint32_t i = 0; i < t->trace.meta.span_count * 3; i++)
        sm_buf_fini(&t->bytes[i]);
    free(t->bytes);
    free(t->spans);
}

struct sm_trace_id fx_id(uint64_t n)
{
    return (struct sm_trace_id){.hi = 0x1111222233334444 + n / 7, .lo = n};
}

struct fx_trace fx_numbered(uint64_t n, uint32_t count)
{
    static const char *const services[] = {"gateway", "cart", "Payment", "stock", "mail"};
    static const char *const names[] = {"GET /", "get cart", "charge", "reserve", "send", "query"};
    struct fx_span *spans = calloc(count, sizeof *spans);
    char(*values)[24] = calloc(count, sizeof *values);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(values[i], sizeof values[i], "v%llu", (unsigned long long)(n * 31 + i));
        spans[i] = (struct fx_span){.service = services[(n + i) % 5],
                                    .name = names[(n * 3 + i) % 6],
                                    .id = n * 1000 + i + 1,
                                    .parent = i ? n * 1000 + 1 : 0,
                                    .start_us = FX_BASE_NS / 1000 + n * 1000 + i,
                                    .duration_us = 10 + (n * 7 + i * 13) % 5000,
                                    .kind = (enum sm_kind)(1 + (n + i) % 5),
                                    .status = (n + i) % 11 == 0 ? SM_STATUS_ERROR : SM_STATUS_UNSET,
                                    .attributes = {"n", values[i], "peer.service", services[(n + i + 1) % 5]}};
    }
    struct fx_trace t = fx_trace(fx_id(n), spans, count);
    free(spans);
    free(values);
    return t;
}

const char *fx_dir(void)
{
    static char path[64];
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* thousands of small files: memory is faster */
    snprintf(path, sizeof path, "%s/spanmill-store-XXXXXX", base);
    cr_assert(mkdtemp(path));
    return path;
}

void fx_rmdir(const char *dir)
{
    char path[512];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

const char *fx_segment_path(const char *dir)
{
    static char path[512];
    char newest[256] = "";
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        uint64_t id, salt;
        if (sm_format_name_parse(e->d_name, &id, &salt) && strcmp(e->d_name, newest) > 0)
            snprintf(newest, sizeof newest, "%s", e->d_name);
    }
    closedir(d);
    snprintf(path, sizeof path, "%s/%s", dir, newest);
    return path;
}

struct sm_store *fx_open(const char *dir, const struct sm_store_options *options)
{
    struct sm_store *store = NULL;
    struct sm_err err = {0};
    cr_assert_eq(sm_store_open(dir, options, (int64_t)FX_BASE_NS, &store, &err), SM_OK, "%s", err.text);
    return store;
}

void fx_append(struct sm_store *store, const struct fx_trace *t)
{
    struct sm_err err = {0};
    cr_assert_eq(sm_store_append(store, &t->trace, &err), SM_OK, "%s", err.text);
}

void fx_append_numbered(struct sm_store *store, uint64_t from, uint64_t to, uint32_t spans)
{
    for (uint64_t n = from; n < to; n++) {
        struct fx_trace t = fx_numbered(n, spans);
        fx_append(store, &t);
        fx_trace_free(&t);
    }
}

struct expectation {
    const struct fx_trace *trace;
    bool same;
};

static bool found_span(const struct sm_store_found *found, const struct sm_encode_span *wanted)
{
    for (uint32_t i = 0; i < found->meta.span_count; i++) {
        const struct sm_encode_span *s = &found->spans[i];
        if (sm_str_eq(s->bytes, wanted->bytes) && sm_str_eq(s->resource, wanted->resource) &&
            sm_str_eq(s->scope, wanted->scope))
            return true;
    }
    return false;
}

static bool compare(void *ctx, const struct sm_store_found *found)
{
    struct expectation *e = ctx;
    const struct sm_store_meta *want = &e->trace->trace.meta;
    e->same = found->meta.span_count == want->span_count && found->meta.start_ns == want->start_ns &&
              found->meta.end_ns == want->end_ns && found->meta.error_count == want->error_count &&
              sm_trace_id_eq(found->meta.id, want->id);
    for (uint32_t i = 0; e->same && i < want->span_count; i++)
        e->same = found_span(found, &e->trace->spans[i].encode);
    return true;
}

bool fx_has_numbered(struct sm_store *store, uint64_t n, uint32_t spans)
{
    struct fx_trace t = fx_numbered(n, spans);
    struct expectation e = {.trace = &t};
    bool found = sm_store_get(store, fx_id(n), SM_STORE_ID_EXACT, compare, &e) == SM_OK;
    fx_trace_free(&t);
    return found && e.same;
}

struct numbers {
    uint64_t *items;
    uint32_t count, max;
};

static bool take_number(void *ctx, const struct sm_store_found *found)
{
    struct numbers *n = ctx;
    if (n->count < n->max)
        n->items[n->count] = found->meta.id.lo;
    n->count++;
    return true;
}

uint32_t fx_search(struct sm_store *store, const struct sm_store_query *query, uint64_t *numbers, uint32_t max)
{
    struct numbers n = {.items = numbers, .max = max};
    cr_assert_eq(sm_store_search(store, query, take_number, &n, NULL), SM_OK);
    return n.count;
}

struct sm_buf fx_read_file(const char *path)
{
    struct sm_buf b = {0};
    char chunk[4096];
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        sm_buf_put(&b, chunk, n);
    fclose(f);
    return b;
}

void fx_write_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, size, f) == size);
    fclose(f);
}
