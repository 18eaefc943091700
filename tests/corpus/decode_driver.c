/* Decodes one payload file and prints what came of it as JSON, for tests/corpus/run.py:
 *
 *     decode_driver CODEC FILE [CODEC]
 *
 * {"rc", "error", "rejected", "reject_text", "spans": [header fields], "encoded": the spans by the second codec (default: the
 * first; CODEC jaeger_json: Jaeger's traces as the query API gives them raw), "again": true when decoding that and encoding once
 * more gives the same bytes}.
 *
 *     decode_driver --lines
 *
 * Lines "CODEC CODEC HEX" on standard input, each answered by such a line: for tests/oracle/differ.py. */
#include "base/buf.h"
#include "base/json_out.h"
#include "query/jaeger_json.h"
#include "span/codec/codec.h"
#include "span/names.h"

#include <stdlib.h>

static const struct sm_codec *const codecs[] = {
    &sm_codec_otlp_proto,       &sm_codec_otlp_json,      &sm_codec_zipkin_json,   &sm_codec_zipkin_proto, &sm_codec_zipkin_v1_json,
    &sm_codec_zipkin_v1_thrift, &sm_codec_jaeger_compact, &sm_codec_jaeger_binary, &sm_codec_jaeger_batch, &sm_codec_jaeger_proto,
};

static const struct sm_codec *find_codec(const char *name)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(codecs); i++) {
        if (strcmp(codecs[i]->name, name) == 0)
            return codecs[i];
    }
    fprintf(stderr, "no codec named %s\n", name);
    exit(2);
}

struct env {
    struct sm_decoder d;
    struct sm_scopes *scopes;
    struct sm_batch batch;
};

static void env_init(struct env *e)
{
    memset(e, 0, sizeof *e);
    e->d.names = sm_names_new(100000, 64 << 20);
    e->d.names_cache = sm_names_cache_new(e->d.names);
    e->scopes = sm_scopes_new(e->d.names, 10000, 64 << 20);
    e->d.scopes = sm_scopes_cache_new(e->scopes, e->d.names_cache);
    e->d.wanted = sm_wanted_new(1);
    e->d.limits = sm_codec_limits_default;
    e->d.pool = sm_payload_pool_new(1 << 20);
}

static void env_fini(struct env *e)
{
    sm_batch_fini(&e->batch);
    sm_payload_pool_free(e->d.pool);
    sm_scopes_cache_free(e->d.scopes);
    sm_scopes_free(e->scopes);
    sm_names_cache_free(e->d.names_cache);
    sm_names_free(e->d.names);
    sm_wanted_free((struct sm_wanted *)e->d.wanted);
}

static void read_file(const char *path, struct sm_buf *out)
{
    FILE *f = fopen(path, "rb");
    char chunk[65536];
    size_t n;
    if (!f) {
        perror(path);
        exit(2);
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        sm_buf_put(out, chunk, n);
    fclose(f);
}

static enum sm_rc decode(struct env *e, const struct sm_codec *codec, struct sm_str bytes, struct sm_err *err)
{
    struct sm_payload *p = sm_payload_new(e->d.pool, bytes.len);
    if (bytes.len)
        memcpy(p->data, bytes.ptr, bytes.len);
    p->size = bytes.len;
    sm_batch_clear(&e->batch);
    enum sm_rc rc = codec->decode(&e->d, p, &e->batch, err);
    sm_payload_put(p);
    return rc;
}

/* An array of the batch's traces. */
static void put_jaeger(const struct env *e, const struct sm_encode_span *spans, struct sm_buf *out)
{
    struct sm_jaeger_json *w = sm_jaeger_json_new();
    struct sm_encode_span *of_trace = sm_xcalloc(e->batch.count + 1, sizeof *of_trace);
    bool *done = sm_xcalloc(e->batch.count + 1, 1);
    char separator = '[';
    for (uint32_t i = 0; i < e->batch.count; i++) {
        struct sm_source_trace trace = {.id = e->batch.items[i].trace, .spans = of_trace};
        for (uint32_t k = i; k < e->batch.count && !done[i]; k++) {
            if (sm_trace_id_eq(e->batch.items[k].trace, trace.id)) {
                done[k] = k != i;
                of_trace[trace.span_count++] = spans[k];
            }
        }
        if (trace.span_count == 0)
            continue;
        sm_buf_putc(out, separator);
        separator = ',';
        sm_jaeger_json_put(w, &trace, true, out);
    }
    sm_buf_puts(out, separator == '[' ? "[]" : "]");
    free(done);
    free(of_trace);
    sm_jaeger_json_free(w);
}

/* NULL: Jaeger's JSON, which is not a codec. */
static void encode(const struct env *e, const struct sm_codec *codec, struct sm_buf *out)
{
    struct sm_encode_span *spans = sm_xcalloc(e->batch.count + 1, sizeof *spans);
    for (uint32_t i = 0; i < e->batch.count; i++) {
        const struct sm_span *s = sm_batch_span(&e->batch, i);
        const struct sm_scope *scope = sm_scopes_get(e->scopes, s->scope_id);
        spans[i] = (struct sm_encode_span){.resource = scope->resource->bytes,
                                           .resource_schema_url = scope->resource->schema_url,
                                           .scope = scope->bytes,
                                           .scope_schema_url = scope->schema_url,
                                           .bytes = sm_str(sm_batch_bytes(&e->batch, i), s->size)};
    }
    if (!codec)
        put_jaeger(e, spans, out);
    else if (codec->encode)
        codec->encode(spans, e->batch.count, out);
    free(spans);
}

static void put_member(struct sm_buf *out, const char *key, struct sm_str text)
{
    sm_buf_printf(out, "\"%s\":", key);
    sm_json_put_string(out, text);
    sm_buf_putc(out, ',');
}

static void put_headers(const struct env *e, struct sm_buf *out)
{
    sm_buf_puts(out, "\"spans\":[");
    for (uint32_t i = 0; i < e->batch.count; i++) {
        const struct sm_span *s = sm_batch_span(&e->batch, i);
        char trace[SM_TRACE_ID_HEX_SIZE], id[SM_SPAN_ID_HEX_SIZE], parent[SM_SPAN_ID_HEX_SIZE];
        sm_trace_id_hex(e->batch.items[i].trace, trace);
        sm_span_id_hex(s->span_id, id);
        sm_span_id_hex(s->parent_id, parent);
        sm_buf_puts(out, i ? ",{" : "{");
        put_member(out, "name", sm_names_get(e->d.names, s->name_id));
        put_member(out, "service", sm_names_get(e->d.names, sm_scopes_get(e->scopes, s->scope_id)->resource->service_id));
        put_member(out, "trace_id", sm_str_c(trace));
        put_member(out, "span_id", sm_str_c(id));
        put_member(out, "parent_id", sm_str_c(parent));
        put_member(out, "kind", sm_str_c(sm_kind_name(sm_span_kind(s))));
        put_member(out, "status", sm_str_c(sm_status_name(sm_span_status(s))));
        sm_buf_printf(out, "\"start_ns\":%llu,\"duration_ns\":%llu,\"flags\":%u}", (unsigned long long)s->start_ns,
                      (unsigned long long)s->duration_ns, s->flags);
    }
    sm_buf_puts(out, "]");
}

/* What comes of one payload, as a line of JSON. `to` NULL: Jaeger's JSON. */
static void put_answer(const struct sm_codec *in, const struct sm_codec *to, struct sm_str payload, struct sm_buf *out)
{
    struct sm_buf encoded = {0}, again = {0};
    struct sm_err err = {0};
    struct env e;
    env_init(&e);
    enum sm_rc rc = decode(&e, in, payload, &err);
    sm_buf_putc(out, '{');
    put_member(out, "rc", sm_str_c(sm_rc_name(rc)));
    put_member(out, "error", sm_str_c(err.text));
    put_member(out, "reject_text", sm_str_c(e.batch.reject_text));
    sm_buf_printf(out, "\"rejected\":%u,", e.batch.rejected_total);
    put_headers(&e, out);
    if (rc == SM_OK && (!to || to->encode)) {
        encode(&e, to, &encoded);
        sm_buf_puts(out, ",\"encoded\":");
        sm_buf_put_str(out, sm_buf_str(&encoded));
    }
    if (rc == SM_OK && to && to->encode) {
        if (decode(&e, to, sm_buf_str(&encoded), &err) == SM_OK)
            encode(&e, to, &again);
        sm_buf_printf(out, ",\"again\":%s", sm_str_eq(sm_buf_str(&encoded), sm_buf_str(&again)) ? "true" : "false");
    }
    sm_buf_puts(out, "}\n");
    sm_buf_fini(&encoded);
    sm_buf_fini(&again);
    env_fini(&e);
}

static int hex_digit(int c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static const struct sm_codec *find_encoder(const char *name)
{
    return strcmp(name, "jaeger_json") == 0 ? NULL : find_codec(name);
}

/* Lines "CODEC CODEC HEX" until the input ends. */
static int answer_lines(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        struct sm_buf payload = {0}, out = {0};
        const char *in = strtok(line, " \n"), *to = strtok(NULL, " \n"), *hex = strtok(NULL, " \n");
        if (!in || !to)
            return 2;
        for (const char *p = hex ? hex : ""; p[0] && p[1]; p += 2)
            sm_buf_putc(&payload, (char)(hex_digit(p[0]) << 4 | hex_digit(p[1])));
        put_answer(find_codec(in), find_encoder(to), sm_buf_str(&payload), &out);
        fwrite(out.data, 1, out.size, stdout);
        fflush(stdout);
        sm_buf_fini(&payload);
        sm_buf_fini(&out);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--lines") == 0)
        return answer_lines();
    if (argc < 3) {
        fprintf(stderr, "usage: %s CODEC FILE [CODEC] | --lines\n", argv[0]);
        return 2;
    }
    struct sm_buf file = {0}, out = {0};
    read_file(argv[2], &file);
    put_answer(find_codec(argv[1]), find_encoder(argc > 3 ? argv[3] : argv[1]), sm_buf_str(&file), &out);
    fwrite(out.data, 1, out.size, stdout);
    sm_buf_fini(&file);
    sm_buf_fini(&out);
    return 0;
}
