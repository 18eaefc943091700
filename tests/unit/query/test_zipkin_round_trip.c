/* What Zipkin clients sent comes back from the query API as it was sent: payloads captured from real clients, read from a folder
 * beside the project ($SPANMILL_CORPUS, or ../shared/corpus). Skipped without it.
 *
 * Both sides are put into one form first: members and elements sorted, white space gone, members that mean
 * the same as absent ones (empty, false, 0) left out, what Zipkin lowers in lower
 * case, trace ids without zeros in front. */
#include "base/json.h"
#include "base/json_out.h"
#include "base/utf8.h"
#include "tests/unit/query/fixture.h"

#include <glob.h>
#include <stdlib.h>
#include <zlib.h>

/* ---- the common form ---- */

struct parts {
    char *texts[4096];
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *text_of(struct sm_buf *b)
{
    sm_buf_putc(b, '\0');
    return (char *)b->data;
}

/* Sorts, joins and frees. */
static void join(struct parts *parts, const char *brackets, struct sm_buf *out)
{
    qsort(parts->texts, parts->count, sizeof *parts->texts, compare);
    sm_buf_putc(out, brackets[0]);
    for (size_t i = 0; i < parts->count; i++) {
        sm_buf_puts(out, i ? "," : "");
        sm_buf_puts(out, parts->texts[i]);
        free(parts->texts[i]);
    }
    sm_buf_putc(out, brackets[1]);
}

static void put_string(struct sm_json *j, const char *key, struct sm_buf *out)
{
    static const char *const lowered[] = {"name", "serviceName", "traceId", "id", "parentId"};
    struct sm_json_text text;
    cr_assert(sm_json_string(j, &text));
    uint8_t *plain = malloc(text.len + 1);
    size_t size = sm_json_unescape(&text, plain);
    for (size_t i = 0; i < SM_ARRAY_LEN(lowered); i++) {
        if (strcmp(lowered[i], key) == 0)
            sm_utf8_lower(plain, plain, size);
    }
    size_t zeros = 0;
    while (strcmp(key, "traceId") == 0 && zeros < size && plain[zeros] == '0')
        zeros++;
    sm_json_put_string(out, sm_str(plain + zeros, size - zeros));
    free(plain);
}

static void put_value(struct sm_json *j, const char *key, struct sm_buf *out);

static bool is_left_out(const char *key, const char *value)
{
    return strcmp(value, "null") == 0 || strcmp(value, "0") == 0 || strcmp(value, "false") == 0 || strcmp(value, "{}") == 0 || strcmp(value, "[]") == 0 ||
           (strcmp(value, "\"\"") == 0 && (strcmp(key, "name") == 0 || strcmp(key, "serviceName") == 0));
}

static void put_member(struct sm_json *j, const struct sm_json_text *key, struct parts *parts)
{
    struct sm_buf name = {0}, value = {0}, member = {0};
    sm_buf_reserve(&name, key->len + 1);
    name.size = sm_json_unescape(key, name.data);
    sm_json_put_string(&member, sm_buf_str(&name));
    put_value(j, text_of(&name), &value);
    if (!is_left_out((char *)name.data, text_of(&value))) {
        sm_buf_printf(&member, ":%s", (char *)value.data);
        cr_assert_lt(parts->count, SM_ARRAY_LEN(parts->texts));
        parts->texts[parts->count++] = text_of(&member);
    } else {
        sm_buf_fini(&member);
    }
    sm_buf_fini(&name);
    sm_buf_fini(&value);
}

static void put_array(struct sm_json *j, struct parts *parts)
{
    for (bool more = sm_json_array(j); more; more = sm_json_element(j)) {
        struct sm_buf element = {0};
        put_value(j, "", &element);
        cr_assert_lt(parts->count, SM_ARRAY_LEN(parts->texts));
        parts->texts[parts->count++] = text_of(&element);
    }
}

static void put_value(struct sm_json *j, const char *key, struct sm_buf *out)
{
    struct parts *parts = calloc(1, sizeof *parts);
    struct sm_json_text member;
    struct sm_str raw;
    switch (sm_json_peek(j)) {
    case SM_JSON_OBJECT:
        for (bool more = sm_json_object(j, &member); more; more = sm_json_member(j, &member))
            put_member(j, &member, parts);
        join(parts, "{}", out);
        break;
    case SM_JSON_ARRAY:
        put_array(j, parts);
        join(parts, "[]", out);
        break;
    case SM_JSON_STRING:
        put_string(j, key, out);
        break;
    default:
        cr_assert(sm_json_raw(j, &raw));
        sm_buf_put_str(out, raw);
    }
    free(parts);
}

/* The elements of a list in the common form. */
static void read_list(struct sm_str json, struct parts *parts)
{
    struct sm_json j = sm_json_reader(json.ptr, json.len, 10);
    struct sm_err err = {0};
    put_array(&j, parts);
    cr_assert_eq(sm_json_end(&j, &err), SM_OK, "%s", err.text);
}

/* ---- payloads ---- */

static void unpack(struct sm_buf *file)
{
    uint8_t out[1 << 18];
    z_stream z = {.next_in = file->data, .avail_in = (uInt)file->size, .next_out = out, .avail_out = sizeof out};
    cr_assert_eq(inflateInit2(&z, 31), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    sm_buf_clear(file);
    sm_buf_put(file, out, z.total_out);
}

static struct sm_buf read_payload(const char *path)
{
    struct sm_buf file = fx_read_file(path);
    if (file.size > 1 && file.data[0] == 0x1f && file.data[1] == 0x8b)
        unpack(&file);
    return file;
}

static void take_trace_id(const char *span, char id[40])
{
    const char *at = strstr(span, "\"traceId\":\"");
    cr_assert(at);
    size_t n = strspn(at + 11, "0123456789abcdef");
    snprintf(id, 40, "%.*s", (int)n, at + 11);
}

/* The spans of one trace among those that were sent, in the form of a whole list. */
static char *sent_of(const struct parts *sent, const char *id)
{
    struct parts *mine = calloc(1, sizeof *mine);
    struct sm_buf out = {0};
    for (size_t i = 0; i < sent->count; i++) {
        char other[40];
        take_trace_id(sent->texts[i], other);
        if (strcmp(other, id) == 0)
            mine->texts[mine->count++] = strdup(sent->texts[i]);
    }
    join(mine, "[]", &out);
    free(mine);
    return text_of(&out);
}

static char *answered_of(struct qx *q, const char *id)
{
    struct parts *parts = calloc(1, sizeof *parts);
    struct sm_buf out = {0};
    char target[80];
    snprintf(target, sizeof target, "/api/v2/trace/%s", id);
    cr_assert_eq(qx_get(q, target), 200, "%s: %s", target, qx_body(q));
    read_list(sm_buf_str(&q->reply.body), parts);
    join(parts, "[]", &out);
    free(parts);
    return text_of(&out);
}

static void check_payload(const char *path, void (*take)(struct qx *, const struct sm_codec *, struct sm_str))
{
    struct sm_buf payload = read_payload(path);
    struct parts *sent = calloc(1, sizeof *sent);
    struct qx *q = qx_open();
    take(q, &sm_codec_zipkin_json, sm_buf_str(&payload));
    read_list(sm_buf_str(&payload), sent);
    cr_assert_gt(sent->count, 0);
    for (size_t i = 0; i < sent->count; i++) {
        char id[40];
        take_trace_id(sent->texts[i], id);
        char *want = sent_of(sent, id), *got = answered_of(q, id);
        size_t same = 0;
        while (got[same] && got[same] == want[same])
            same++;
        size_t from = same > 100 ? same - 100 : 0;
        cr_assert_str_eq(got, want, "%s, trace %s\n got ...%.300s\nwant ...%.300s", path, id, got + from, want + from);
        free(want);
        free(got);
    }
    for (size_t i = 0; i < sent->count; i++)
        free(sent->texts[i]);
    free(sent);
    qx_close(q);
    sm_buf_fini(&payload);
}

static void check_corpus(void (*take)(struct qx *, const struct sm_codec *, struct sm_str))
{
    const char *corpus = getenv("SPANMILL_CORPUS");
    char pattern[500];
    glob_t found;
    if (corpus)
        snprintf(pattern, sizeof pattern, "%s/zipkin-v2-json/*/*.bin", corpus);
    else
        snprintf(pattern, sizeof pattern, "%s/../shared/corpus/zipkin-v2-json/*/*.bin", SM_SOURCE_DIR);
    if (glob(pattern, 0, NULL, &found) != 0)
        cr_skip_test("no corpus");
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_payload(found.gl_pathv[i], take);
    globfree(&found);
}

Test(zipkin_round_trip, through_the_store)
{
    check_corpus(qx_store_payload);
}

Test(zipkin_round_trip, through_open_windows)
{
    check_corpus(qx_submit_payload);
}
