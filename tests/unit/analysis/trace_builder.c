#include "trace_builder.h"

#include "base/pb.h"
#include "span/attr.h"
#include "span/private.h"

#include <arpa/inet.h>
#include <stdlib.h>

void tb_init(struct trace_builder *tb)
{
    *tb = (struct trace_builder){.base_ns = UINT64_C(1700000000) * SM_SEC};
    tb->names = sm_names_new(100000, 8 << 20);
    tb->names_cache = sm_names_cache_new(tb->names);
    tb->scopes = sm_scopes_new(tb->names, 10000, 8 << 20);
    tb->scopes_cache = sm_scopes_cache_new(tb->scopes, tb->names_cache);
    tb->wanted = sm_wanted_new(1);
    tb->scratch = sm_view_scratch_new(tb->names, tb->scopes);
    tb->trace.id = (struct sm_trace_id){1, 2};
    tb->trace.verdict = SM_VERDICT_KEPT;
    tb->trace.opened_ns = tb->trace.last_ns = (int64_t)tb->base_ns;
}

static void free_chunks(struct sm_trace *t)
{
    free(t->chunks);
    t->chunks = t->chunks_last = NULL;
}

void tb_fini(struct trace_builder *tb)
{
    free_chunks(&tb->trace);
    free(tb->bytes);
    sm_view_scratch_free(tb->scratch);
    sm_wanted_free(tb->wanted);
    sm_scopes_cache_free(tb->scopes_cache);
    sm_scopes_free(tb->scopes);
    sm_names_cache_free(tb->names_cache);
    sm_names_free(tb->names);
}

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "trace text: %s: %s\n", what, text);
    abort();
}

static void parse_word(struct tb_span *s, char *word)
{
    static const struct {
        const char *word;
        size_t offset;
    } flags[] = {
        {"shared", offsetof(struct tb_span, shared)},     {"error", offsetof(struct tb_span, error_tag)},
        {"failed", offsetof(struct tb_span, failed)},     {"zipkin", offsetof(struct tb_span, zipkin)},
        {"nodur", offsetof(struct tb_span, no_duration)}, {"nostart", offsetof(struct tb_span, no_start)},
        {"debug", offsetof(struct tb_span, debug)},
    };
    for (unsigned i = 0; i < SM_ARRAY_LEN(flags); i++) {
        if (strcmp(word, flags[i].word) == 0) {
            *(bool *)((char *)s + flags[i].offset) = true;
            return;
        }
    }
    char *value = strchr(word, '=');
    if (!value)
        fail("not a word", word);
    *value++ = 0;
    if (strcmp(word, "start") == 0)
        s->start_ns += (uint64_t)(strtoll(value, NULL, 10) * SM_MS);
    else if (strcmp(word, "dur") == 0)
        s->duration_ns = (uint64_t)(strtod(value, NULL) * 1e6);
    else if (strcmp(word, "port") == 0)
        s->port = (uint16_t)atoi(value);
    else if (strcmp(word, "size") == 0)
        s->size = (uint32_t)atoi(value);
    else if (strcmp(word, "name") == 0)
        snprintf(s->name, sizeof s->name, "%s", value);
    else if (strcmp(word, "ip") == 0 && inet_pton(AF_INET, value, s->ip) != 1)
        fail("not an address", value);
    else if (strcmp(word, "ip") != 0) {
        struct tb_attr *a = &s->attrs[s->attr_count++];
        snprintf(a->key, sizeof a->key, "%s", strcmp(word, "peer") == 0 ? "peer.service" : word);
        snprintf(a->value, sizeof a->value, "%s", value);
    }
}

static enum sm_kind parse_kind(const char *word)
{
    for (int k = SM_KIND_INTERNAL; k <= SM_KIND_CONSUMER; k++)
        if (strcmp(word, sm_kind_name((enum sm_kind)k)) == 0)
            return (enum sm_kind)k;
    if (strcmp(word, "local") == 0)
        return SM_KIND_INTERNAL;
    if (strcmp(word, "none") != 0)
        fail("not a kind", word);
    return SM_KIND_UNSPECIFIED;
}

unsigned tb_parse(const struct trace_builder *tb, const char *text, struct tb_span *spans, unsigned max)
{
    char *copy = strdup(text), *line_state, *word_state;
    unsigned count = 0;
    for (char *line = strtok_r(copy, ";\n", &line_state); line; line = strtok_r(NULL, ";\n", &line_state)) {
        char *kind = strtok_r(line, " ", &word_state);
        if (!kind)
            continue;
        char *service = strtok_r(NULL, " ", &word_state), *ids = strtok_r(NULL, " ", &word_state);
        if (!ids || count == max)
            fail("span", text);
        struct tb_span *s = &spans[count++];
        *s = (struct tb_span){.kind = parse_kind(kind), .start_ns = tb->base_ns, .duration_ns = SM_MS};
        if (strcmp(service, "-") != 0)
            snprintf(s->service, sizeof s->service, "%s", service);
        s->id = strtoull(ids, &ids, 16);
        if (*ids == '/')
            s->parent = strtoull(ids + 1, &ids, 16);
        for (char *word = strtok_r(NULL, " ", &word_state); word; word = strtok_r(NULL, " ", &word_state))
            parse_word(s, word);
    }
    free(copy);
    return count;
}

static const struct sm_scope *scope_of(struct trace_builder *tb, const char *service)
{
    uint8_t bytes[128], inner[64];
    uint8_t *p = bytes;
    if (*service) {
        uint8_t any[48], *q = sm_pb_put_bytes(any, 1, service, strlen(service));
        size_t any_size = (size_t)(q - any);
        q = sm_pb_put_bytes(inner, 1, "service.name", 12);
        q = sm_pb_put_bytes(q, 2, any, any_size);
        p = sm_pb_put_bytes(p, 1, inner, (size_t)(q - inner));
    }
    const struct sm_resource *r =
        sm_scopes_cache_resource(tb->scopes_cache, sm_str(bytes, (size_t)(p - bytes)), SM_STR(""), 1);
    return sm_scopes_cache_scope(tb->scopes_cache, r, SM_STR(""), SM_STR(""), 1);
}

/* Writes an attribute and remembers where its value lies if somebody wants the key. */
static uint8_t *put_attr(struct trace_builder *tb, struct sm_span *head, const uint8_t *start, uint8_t *p,
                         const char *key, const char *value)
{
    uint8_t any[128], kv[256], padded_key[64] = {0};
    uint8_t *q = sm_pb_put_bytes(any, 1, value, strlen(value));
    size_t any_size = (size_t)(q - any);
    q = sm_pb_put_bytes(kv, 1, key, strlen(key));
    size_t value_at = (size_t)(q + 1 - kv);
    q = sm_pb_put_bytes(q, 2, any, any_size);
    size_t kv_size = (size_t)(q - kv);
    p = sm_pb_put_bytes(p, SM_OTLP_ATTRIBUTES, kv, kv_size);
    memcpy(padded_key, key, strlen(key));
    uint32_t slot = sm_wanted_find(tb->wanted, padded_key, strlen(key));
    if (slot != SM_WANTED_NONE) {
        uint32_t *records = (uint32_t *)(head + 1);
        records[head->n_wanted++] = SM_WANTED_RECORD(slot, (size_t)(p - start) - kv_size + value_at);
    }
    return p;
}

static uint8_t *put_private(const uint8_t *start, uint8_t *p, const struct tb_span *s, struct sm_span *head)
{
    static const uint8_t none[4];
    struct sm_private priv = {.origin = SM_ORIGIN_ZIPKIN_V2, .flags = s->shared ? SM_PRIVATE_SHARED : 0};
    if (memcmp(s->ip, none, 4) != 0)
        priv.local.ipv4 = s->ip;
    priv.local.port = s->port;
    head->flags |= SM_SPAN_PRIVATE;
    head->zipkin = true;
    ((uint32_t *)(head + 1))[head->n_wanted++] = SM_WANTED_RECORD(SM_SLOT_PRIVATE, p + 2 - start);
    return sm_private_put(p, &priv);
}

static void put_span(struct trace_builder *tb, const struct tb_span *s)
{
    struct sm_trace *t = &tb->trace;
    struct {
        struct sm_span head;
        uint32_t wanted[UINT8_MAX];
    } room;
    struct sm_span *head = &room.head;
    uint8_t *start = tb->bytes, *p = start;
    const char *name = *s->name ? s->name : "op";
    *head = (struct sm_span){.span_id = s->id,
                             .parent_id = s->parent,
                             .name_id = sm_names_cache_id(tb->names_cache, sm_str_c(name)),
                             .scope_id = scope_of(tb, s->service)->id,
                             .kind_status = (uint8_t)(s->kind | (s->failed ? SM_STATUS_ERROR << 4 : 0))};
    head->start_ns = s->no_start ? 0 : s->start_ns;
    head->duration_ns = s->no_duration ? 0 : s->duration_ns;
    head->flags = (uint16_t)((s->shared ? SM_SPAN_SHARED : 0) | (s->error_tag ? SM_SPAN_ERROR_TAG : 0) |
                             (s->failed ? SM_SPAN_ERROR : 0) | (s->no_duration ? SM_SPAN_NO_DURATION : 0) |
                             (s->no_start ? SM_SPAN_NO_START : 0) | (s->debug ? SM_SPAN_DEBUG : 0));
    uint8_t id[8];
    sm_store_be64(id, s->id);
    p = sm_pb_put_bytes(p, SM_OTLP_SPAN_ID, id, 8);
    sm_store_be64(id, s->parent);
    p = sm_pb_put_bytes(p, SM_OTLP_PARENT_SPAN_ID, id, s->parent ? 8 : 0);
    p = sm_pb_put_bytes(p, SM_OTLP_NAME, name, strlen(name));
    p = sm_pb_put_uint(p, SM_OTLP_KIND, s->kind);
    p = sm_pb_put_fixed64(p, SM_OTLP_START, head->start_ns);
    p = sm_pb_put_fixed64(p, SM_OTLP_END, head->start_ns + head->duration_ns);
    for (unsigned i = 0; i < s->attr_count; i++)
        p = put_attr(tb, head, start, p, s->attrs[i].key, s->attrs[i].value);
    if (s->error_tag)
        p = put_attr(tb, head, start, p, "error", "why");
    if (s->zipkin)
        p = put_private(start, p, s, head);
    while ((uint32_t)(p - start) + 2 <= s->size)
        p = sm_pb_put_uint(p, 15, 0);
    head->size = (uint32_t)(p - start);
    sm_trace_put(t, head, start);
    sm_trace_settle(t);
    t->span_flags |= head->flags;
    t->span_count++;
    if (head->start_ns && head->start_ns < t->start_ns)
        t->start_ns = head->start_ns;
    if (head->start_ns + head->duration_ns > t->end_ns)
        t->end_ns = head->start_ns + head->duration_ns;
}

static struct sm_chunk *new_chunk(size_t size)
{
    struct sm_chunk *c = sm_xcalloc(1, sizeof *c + size);
    c->size = (uint32_t)size;
    return c;
}

const struct sm_view *tb_build(struct trace_builder *tb, const struct tb_span *spans, unsigned count)
{
    struct sm_trace *t = &tb->trace;
    size_t padding = 0;
    for (unsigned i = 0; i < count; i++)
        padding += spans[i].size;
    free_chunks(t);
    free(tb->bytes);
    tb->bytes = sm_xmalloc(1800 + padding);
    sm_trace_add_chunk(t, new_chunk(count * (sizeof(struct sm_span) + 64 + 1800) + padding + 64));
    t->start_ns = UINT64_MAX;
    t->end_ns = 0;
    t->span_count = 0;
    t->span_flags = 0;
    for (unsigned i = 0; i < count; i++)
        put_span(tb, &spans[i]);
    return sm_view_build(tb->scratch, t);
}

const struct sm_view *tb_build_text(struct trace_builder *tb, const char *text)
{
    struct tb_span spans[64];
    return tb_build(tb, spans, tb_parse(tb, text, spans, 64));
}
