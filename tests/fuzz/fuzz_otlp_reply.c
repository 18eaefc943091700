/* Replies to exports: first byte HTTP or gRPC, two of the status, then lines of header values, an empty line, the body. */
#include "sinks/otlp_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sm_http_client_reply reply = {0};
    struct sm_otlp_outcome outcome;
    if (size < 3)
        return 0;
    char *exact = malloc(size - 3 + 1);
    memcpy(exact, data + 3, size - 3);
    struct sm_str rest = sm_str(exact, size - 3);
    reply.status = (data[1] << 8 | data[2]) % 1000;
    for (unsigned i = 0; i < SM_HTTP_CLIENT_HEADER_COUNT && rest.len; i++) {
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        size_t n = newline ? (size_t)(newline - rest.ptr) : rest.len;
        reply.headers[i] = sm_str(rest.ptr, n);
        n += newline != NULL;
        rest = sm_str(rest.ptr + n, rest.len - n);
    }
    reply.cut = data[0] & 2;
    reply.body = reply.cut ? SM_STR("") : rest;
    memset(&outcome, 0xff, sizeof outcome);
    if (data[0] & 1)
        sm_otlp_reply_grpc(&reply, &outcome);
    else
        sm_otlp_reply_http(&reply, INT64_C(1700000000) * SM_SEC, &outcome);
    SM_ASSERT(outcome.result <= SM_SINK_REJECT);
    SM_ASSERT(outcome.retry_after_ns >= 0);
    SM_ASSERT(memchr(outcome.why, '\0', sizeof outcome.why));
    SM_ASSERT(outcome.result == SM_SINK_OK || outcome.why[0]);
    free(exact);
    return 0;
}
