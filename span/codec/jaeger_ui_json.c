/* Traces as Jaeger's query API gives them and its UI downloads them: {"data": [{"traceID", "spans", "processes"}]}, or one trace without
 * what is around it (jaeger, internal/uimodel: model.go). Several documents may follow each other.
 *
 * Spans name their process, which stands behind them as a rule, so a trace's members are passed over first and read afterwards: the
 * processes, then the spans. Of a span's members references and of a tag's the value are read last, when the ids and the type are known.
 * Integers beyond 2^53 are strings there. Warnings are remarks of the server that gave the trace out, not of the span: they are passed
 * over. A value that is not of its tag's type is taken for what it is. */
#include "base/base64.h"
#include "base/hash.h"
#include "base/json.h"
#include "span/codec/jaeger.h"
#include "span/codec/json_room.h"

enum { KEY_SIZE_MAX = 32, READER_DEPTH = 32, PROCESSES_MAX = 100000 };

/* A process of the trace at hand; an entry of a hash table. */
struct process {
    struct sm_str id; /* as it stands in the document; NULL: free */
    uint32_t scope_id, reject;
};

struct reader {
    struct sm_json j;
    struct sm_jaeger_in in;
    struct sm_decoder *d;
    struct sm_batch *batch;
    struct sm_json_room room; /* for texts of what is at hand */
    struct sm_payload *table; /* of processes; NULL until there are some */
    uint32_t table_mask;
    struct sm_json references; /* of the span at hand, at their value; p NULL: there are none */
    bool too_many;
};

static bool fail(struct reader *r, const char *text)
{
    return sm_json_fail(&r->j, text);
}

static bool need(struct reader *r, bool memory)
{
    if (SM_LIKELY(memory))
        return true;
    r->in.build.no_memory = true;
    return fail(r, "out of memory");
}

/* ---- texts ---- */

static bool no_room(struct reader *r)
{
    return need(r, !r->room.no_memory) && fail(r, "too many members of one name");
}

static struct sm_str nothing(const struct reader *r)
{
    return sm_str(r->j.start, 0); /* texts are read beyond their end */
}

/* A string, or what else stands there as text; empty for null. */
static bool read_text(struct reader *r, struct sm_str *text)
{
    struct sm_json_text t;
    *text = nothing(r);
    if (sm_json_null(&r->j))
        return true;
    if (sm_json_peek(&r->j) != SM_JSON_STRING)
        return sm_json_raw(&r->j, text);
    return sm_json_string(&r->j, &t) && (sm_json_room_plain(&r->room, &t, text) || no_room(r));
}

/* Whole microseconds, with or without quotes. */
static bool read_micros(struct reader *r, int64_t *us)
{
    struct sm_json_number n;
    struct sm_str text;
    *us = 0;
    if (!read_text(r, &text) || text.len == 0)
        return !r->j.error;
    if (!sm_json_number_parse(text, &n))
        return fail(r, "expected a number");
    double d = sm_json_number_double(&n);
    if (!sm_json_number_int64(&n, us))
        *us = d >= 0 && d < 0x1p63 ? (int64_t)d : -1;
    return true;
}

static void read_trace_id(struct reader *r, struct sm_trace_id *id)
{
    struct sm_str text;
    r->room.used = 0;
    if (!read_text(r, &text) || sm_trace_id_parse(text, id) != SM_OK)
        *id = (struct sm_trace_id){0, 0};
}

static void read_span_id(struct reader *r, uint64_t *id)
{
    struct sm_str text;
    r->room.used = 0;
    if (!read_text(r, &text) || sm_span_id_parse(text, id) != SM_OK)
        *id = 0;
}

/* ---- objects ---- */

typedef void member_reader(struct reader *r, const struct sm_json_text *key, void *ctx);

static void read_object(struct reader *r, member_reader *member, void *ctx)
{
    struct sm_json_text key;
    uint8_t plain_key[KEY_SIZE_MAX];
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        member(r, &key, ctx);
    }
}

/* Where a value stands, which is passed over. */
static void note(struct reader *r, struct sm_json *at)
{
    *at = r->j;
    (void)sm_json_skip(&r->j);
}

/* Goes back to a value that was noted; *after is where to go on from then. */
static bool go_to(struct reader *r, const struct sm_json *at, struct sm_json *after)
{
    *after = r->j;
    if (!at->p || r->j.error)
        return false;
    r->j = *at;
    return true;
}

static void come_back(struct reader *r, const struct sm_json *after)
{
    if (!r->j.error)
        r->j = *after;
}

/* ---- tags ---- */

struct tag {
    struct sm_jaeger_tag tag;
    struct sm_json value; /* at it; p NULL: there is none */
};

static bool read_type(struct reader *r, enum sm_jaeger_type *type)
{
    static const char *const names[] = {"string", "bool", "int64", "float64", "binary"};
    struct sm_str text;
    if (!read_text(r, &text))
        return false;
    for (unsigned i = 0; i < SM_ARRAY_LEN(names); i++) {
        if (sm_str_eq(text, sm_str_c(names[i])))
            *type = (enum sm_jaeger_type)i;
    }
    return true;
}

_Static_assert(SM_JAEGER_STRING == 0 && SM_JAEGER_BOOL == 1 && SM_JAEGER_INT == 2 && SM_JAEGER_DOUBLE == 3 && SM_JAEGER_BINARY == 4,
               "in the order of the names");

static void read_tag_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct tag *t = ctx;
    if (sm_json_is(key, "key"))
        (void)read_text(r, &t->tag.key);
    else if (sm_json_is(key, "type"))
        (void)read_type(r, &t->tag.type);
    else if (sm_json_is(key, "value"))
        note(r, &t->value);
    else
        (void)sm_json_skip(&r->j);
}

static bool take_base64(struct reader *r, struct sm_str text, struct sm_str *bytes)
{
    uint8_t *out = sm_json_room_take(&r->room, SM_BASE64_DECODED_MAX(text.len));
    const uint8_t *end = out ? sm_base64_decode(text, out) : NULL;
    *bytes = end ? sm_str(out, (size_t)(end - out)) : text;
    (void)need(r, out || !r->room.no_memory);
    return end != NULL;
}

/* The value by its tag's type. False: it is no such thing, which makes it a string. */
static bool take_value(struct reader *r, struct sm_jaeger_tag *tag, struct sm_str text)
{
    struct sm_json_number n;
    switch (tag->type) {
    case SM_JAEGER_BOOL:
        tag->b = sm_str_eq(text, SM_STR("true"));
        return tag->b || sm_str_eq(text, SM_STR("false"));
    case SM_JAEGER_INT:
        return sm_json_number_parse(text, &n) && sm_json_number_int64(&n, &tag->i);
    case SM_JAEGER_DOUBLE:
        return sm_json_double_parse(text, &tag->d);
    case SM_JAEGER_BINARY:
        return take_base64(r, text, &tag->text);
    default:
        return false;
    }
}

typedef bool put_function(struct sm_jaeger_in *in, const struct sm_jaeger_tag *tag);

static void read_tag(struct reader *r, put_function *put)
{
    struct tag t = {.tag = {.key = nothing(r), .type = SM_JAEGER_STRING, .text = nothing(r)}};
    struct sm_json after;
    struct sm_str text = nothing(r);
    r->room.used = 0;
    read_object(r, read_tag_member, &t);
    if (go_to(r, &t.value, &after)) {
        (void)read_text(r, &text);
        come_back(r, &after);
    }
    if (r->j.error)
        return;
    if (!take_value(r, &t.tag, text)) {
        t.tag.type = SM_JAEGER_STRING;
        t.tag.text = text;
    }
    (void)need(r, put(&r->in, &t.tag));
}

static void read_tags(struct reader *r, put_function *put)
{
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
        read_tag(r, put);
}

/* ---- logs and references ---- */

static void read_log_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    int64_t us = 0;
    if (sm_json_is(key, "timestamp")) {
        if (read_micros(r, &us))
            *(uint64_t *)ctx = sm_jaeger_time_ns(&r->in, us);
    } else if (sm_json_is(key, "fields")) {
        read_tags(r, sm_jaeger_log_field);
    } else {
        (void)sm_json_skip(&r->j);
    }
}

static void read_logs(struct reader *r)
{
    size_t at;
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        uint64_t time_ns = 0;
        if (!need(r, sm_jaeger_log_begin(&r->in, &at)))
            return;
        read_object(r, read_log_member, &time_ns);
        if (!r->j.error)
            (void)need(r, sm_jaeger_log_end(&r->in, at, time_ns));
    }
}

static void read_reference_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct sm_jaeger_reference *ref = ctx;
    struct sm_str text;
    if (sm_json_is(key, "traceID"))
        read_trace_id(r, &ref->trace);
    else if (sm_json_is(key, "spanID"))
        read_span_id(r, &ref->id);
    else if (sm_json_is(key, "refType") && read_text(r, &text))
        ref->type = sm_str_eq(text, SM_STR("CHILD_OF")) ? SM_JAEGER_CHILD_OF : SM_JAEGER_FOLLOWS_FROM;
    else if (!sm_json_is(key, "refType"))
        (void)sm_json_skip(&r->j);
}

static void walk_references(struct reader *r, bool link)
{
    struct sm_json after;
    if (!go_to(r, &r->references, &after))
        return;
    if (!sm_json_null(&r->j)) {
        for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
            struct sm_jaeger_reference ref = {.type = SM_JAEGER_FOLLOWS_FROM};
            read_object(r, read_reference_member, &ref);
            if (r->j.error)
                return;
            if (link)
                (void)need(r, sm_jaeger_link(&r->in, &ref));
            else
                sm_jaeger_refer(&r->in, &ref);
        }
    }
    come_back(r, &after);
}

/* ---- processes ---- */

static struct process *find_process(const struct reader *r, struct sm_str id)
{
    struct process *entries = (struct process *)(void *)r->table->data;
    uint32_t at = (uint32_t)sm_hash_bytes(id.ptr, id.len) & r->table_mask;
    while (entries[at].id.ptr && !sm_str_eq(entries[at].id, id))
        at = (at + 1) & r->table_mask;
    return &entries[at];
}

struct head {
    struct sm_str service;
    struct sm_json tags; /* p NULL: there are none */
};

static void read_process_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct head *h = ctx;
    if (sm_json_is(key, "serviceName"))
        (void)read_text(r, &h->service);
    else if (sm_json_is(key, "tags"))
        note(r, &h->tags);
    else
        (void)sm_json_skip(&r->j);
}

static void read_process(struct reader *r, struct sm_str id)
{
    struct head h = {.service = nothing(r)};
    struct sm_json after;
    r->room.used = 0;
    read_object(r, read_process_member, &h);
    if (r->j.error || !need(r, sm_jaeger_process_begin(&r->in, h.service)))
        return;
    if (go_to(r, &h.tags, &after)) {
        read_tags(r, sm_jaeger_process_tag);
        come_back(r, &after);
    }
    sm_jaeger_process_end(&r->in);
    *find_process(r, id) = (struct process){id, r->in.scope_id, r->in.process_reject};
}

static uint32_t count_members(struct sm_json at)
{
    struct sm_json_text key;
    uint32_t n = 0;
    if (at.p && sm_json_peek(&at) == SM_JSON_OBJECT) {
        for (bool more = sm_json_object(&at, &key); more && n <= PROCESSES_MAX; more = sm_json_member(&at, &key), n++)
            (void)sm_json_skip(&at);
    }
    return n;
}

/* An empty table with room for twice as many as there are. */
static bool make_table(struct reader *r, uint32_t processes)
{
    uint32_t size = 16;
    while (size < 2 * processes)
        size *= 2;
    if (processes > PROCESSES_MAX)
        return fail(r, "too many processes");
    if (r->table)
        sm_payload_put(r->table);
    r->table = sm_payload_new(r->d->pool, size * sizeof(struct process));
    if (!need(r, r->table != NULL))
        return false;
    memset(r->table->data, 0, size * sizeof(struct process));
    r->table_mask = size - 1;
    return true;
}

static void read_processes(struct reader *r, const struct sm_json *at)
{
    struct sm_json after;
    struct sm_json_text id;
    if (!make_table(r, count_members(*at)) || !go_to(r, at, &after))
        return;
    if (!sm_json_null(&r->j)) {
        for (bool more = sm_json_object(&r->j, &id); more; more = sm_json_member(&r->j, &id))
            read_process(r, sm_str(id.ptr, id.len));
    }
    come_back(r, &after);
}

/* Ids are compared as they are written. A process that is not there has no name. */
static void use_process(struct reader *r, struct sm_str id)
{
    const struct process *p = find_process(r, id);
    if (!p->id.ptr) {
        if (!need(r, sm_jaeger_process_begin(&r->in, nothing(r))))
            return;
        sm_jaeger_process_end(&r->in);
        return;
    }
    r->in.scope_id = p->scope_id;
    r->in.process_reject = (enum sm_reject)p->reject;
}

/* ---- spans ---- */

struct span {
    struct sm_str process_id;
};

static void read_flags(struct reader *r)
{
    int64_t flags;
    if (read_micros(r, &flags))
        r->in.flags = (uint32_t)flags;
}

static void read_time(struct reader *r, bool duration)
{
    int64_t us;
    r->room.used = 0;
    if (!read_micros(r, &us))
        return;
    if (duration)
        r->in.duration_ns = sm_jaeger_duration_ns(&r->in, us);
    else
        r->in.start_ns = sm_jaeger_time_ns(&r->in, us);
}

static void read_name(struct reader *r)
{
    struct sm_str name;
    r->room.used = 0;
    if (read_text(r, &name))
        (void)need(r, sm_jaeger_name(&r->in, name));
}

static void read_process_id(struct reader *r, struct sm_str *id)
{
    struct sm_json_text text;
    if (!sm_json_null(&r->j) && sm_json_string(&r->j, &text))
        *id = sm_str(text.ptr, text.len);
}

static void read_span_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct span *s = ctx;
    if (sm_json_is(key, "traceID"))
        read_trace_id(r, &r->in.trace);
    else if (sm_json_is(key, "spanID"))
        read_span_id(r, &r->in.id);
    else if (sm_json_is(key, "parentSpanID"))
        read_span_id(r, &r->in.parent_id);
    else if (sm_json_is(key, "operationName"))
        read_name(r);
    else if (sm_json_is(key, "flags"))
        read_flags(r);
    else if (sm_json_is(key, "startTime"))
        read_time(r, false);
    else if (sm_json_is(key, "duration"))
        read_time(r, true);
    else if (sm_json_is(key, "tags"))
        read_tags(r, sm_jaeger_tag);
    else if (sm_json_is(key, "logs"))
        read_logs(r);
    else if (sm_json_is(key, "processID"))
        read_process_id(r, &s->process_id);
    else if (sm_json_is(key, "references"))
        note(r, &r->references);
    else
        (void)sm_json_skip(&r->j);
}

static void read_span(struct reader *r)
{
    struct span s = {.process_id = nothing(r)};
    r->references.p = NULL;
    if (!need(r, sm_jaeger_begin(&r->in)))
        return;
    read_object(r, read_span_member, &s);
    walk_references(r, false);
    if (!r->j.error && need(r, sm_jaeger_referred(&r->in)))
        walk_references(r, true);
    if (!r->j.error)
        use_process(r, s.process_id);
    if (!r->j.error)
        (void)need(r, sm_jaeger_commit(&r->in));
}

static void read_spans(struct reader *r, const struct sm_json *at)
{
    struct sm_json after;
    if (!go_to(r, at, &after))
        return;
    if (!sm_json_null(&r->j)) {
        for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
            r->too_many = r->batch->count + r->batch->rejected_total >= r->d->limits.spans_max;
            if (r->too_many)
                (void)fail(r, "too many spans");
            else
                read_span(r);
        }
    }
    come_back(r, &after);
}

/* ---- traces ---- */

struct trace {
    struct sm_json data, spans, processes; /* p NULL: not there */
};

static void read_trace_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct trace *t = ctx;
    if (sm_json_is(key, "data"))
        note(r, &t->data);
    else if (sm_json_is(key, "spans"))
        note(r, &t->spans);
    else if (sm_json_is(key, "processes"))
        note(r, &t->processes);
    else
        (void)sm_json_skip(&r->j);
}

static void read_trace(struct reader *r, struct trace *t)
{
    *t = (struct trace){.data.p = NULL};
    read_object(r, read_trace_member, t);
    if (r->j.error || !t->spans.p)
        return;
    read_processes(r, &t->processes);
    read_spans(r, &t->spans);
}

static void read_document(struct reader *r)
{
    struct trace document, trace;
    struct sm_json after;
    read_trace(r, &document);
    if (!go_to(r, &document.data, &after))
        return;
    if (!sm_json_null(&r->j)) {
        for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
            read_trace(r, &trace);
    }
    come_back(r, &after);
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct reader r = {.d = d, .batch = batch, .room = sm_json_room(d->pool, payload->size)};
    struct sm_err why;
    r.j = sm_json_reader(payload->data, payload->size, READER_DEPTH);
    if (sm_jaeger_open(&r.in, d, batch, payload->size / 2) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    do {
        read_document(&r);
        sm_json_space(&r.j);
    } while (!r.j.error && r.j.p < r.j.end);
    enum sm_rc rc = sm_json_end(&r.j, &why);
    sm_json_room_fini(&r.room);
    if (r.table)
        sm_payload_put(r.table);
    if (rc == SM_OK) {
        sm_jaeger_close(&r.in);
        return SM_OK;
    }
    sm_batch_clear(batch);
    if (r.in.build.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    return r.too_many ? sm_err_set(err, SM_E_LIMIT, "more than %u spans in one document", d->limits.spans_max)
                      : sm_err_set(err, rc, "not traces of Jaeger's UI: %s", why.text);
}

const struct sm_codec sm_codec_jaeger_ui_json = {
    .name = "jaeger_ui_json",
    .decode = decode,
};
