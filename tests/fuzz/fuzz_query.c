/* Any target (path?query) to the query APIs over nothing; behind a NUL byte the body of a POST.
 *
 * Beyond not crashing: every reply has a status and a type, and what says that it is JSON is one well-formed value. */
#include "base/json.h"
#include "query/api.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_NS (INT64_C(1700000000) * SM_SEC)

static struct sm_query *start(void)
{
    static const char *const keys[] = {"site", NULL};
    static struct sm_query *query;
    if (!query)
        query = sm_query_new(&(struct sm_query_env){.base_path = "/base", .autocomplete_keys = keys});
    return query;
}

static void check(struct sm_query_reply *reply)
{
    SM_ASSERT(reply->status >= 200 && reply->status <= 599);
    SM_ASSERT(reply->content_type);
    if (strcmp(reply->content_type, "application/json") == 0) {
        struct sm_json j = sm_json_reader(reply->body.data, reply->body.size, 200);
        struct sm_err err;
        sm_json_skip(&j);
        SM_ASSERT(sm_json_end(&j, &err) == SM_OK);
    }
    sm_buf_fini(&reply->body);
}

/* An exact copy, so that every byte beyond is out of bounds. */
static struct sm_str copy_of(const uint8_t *bytes, size_t size)
{
    char *copy = sm_xmalloc(size + (size == 0));
    if (size)
        memcpy(copy, bytes, size);
    return sm_str(copy, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sm_query *q = start();
    struct sm_query_reply reply = {0};
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t target_size = end ? (size_t)(end - data) : size;
    const uint8_t *mark = target_size ? memchr(data, '?', target_size) : NULL;
    size_t path_size = mark ? (size_t)(mark - data) : target_size;
    struct sm_str path = copy_of(data, path_size);
    struct sm_str query = mark ? copy_of(mark + 1, target_size - path_size - 1) : copy_of(NULL, 0);
    struct sm_str body = end ? copy_of(end + 1, size - target_size - 1) : copy_of(NULL, 0);
    if (end)
        sm_query_post(q, path, query, body, NOW_NS, &reply);
    else
        sm_query_answer(q, path, query, NOW_NS, &reply);
    check(&reply);
    (void)sm_query_method("/base", path);
    free((char *)path.ptr);
    free((char *)query.ptr);
    free((char *)body.ptr);
    return 0;
}
