/* google.rpc.Status, RetryInfo and ExportTraceServiceResponse, by hand: they are a few fields each. */
#include "ingest/rpc_status.h"

#include "base/buf.h"
#include "base/json_out.h"
#include "base/pb.h"

enum { TEXT_MAX = 256 };

static size_t text_size(const char *text)
{
    return strnlen(text, TEXT_MAX);
}

static size_t retry_info(uint8_t *out, int64_t retry_after_ns)
{
    uint8_t duration[24];
    uint8_t *p = sm_pb_put_uint(duration, 1, (uint64_t)(retry_after_ns / SM_SEC));
    if (retry_after_ns % SM_SEC)
        p = sm_pb_put_uint(p, 2, (uint64_t)(retry_after_ns % SM_SEC));
    return (size_t)(sm_pb_put_bytes(out, 1, duration, (size_t)(p - duration)) - out);
}

size_t sm_rpc_status_proto(uint8_t out[SM_RPC_STATUS_SIZE_MAX], uint32_t code, const char *message, int64_t retry_after_ns)
{
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    uint8_t *p = sm_pb_put_uint(out, 1, code);
    p = sm_pb_put_bytes(p, 2, message, text_size(message));
    if (retry_after_ns > 0) {
        uint8_t info[32], any[128];
        size_t info_size = retry_info(info, retry_after_ns);
        uint8_t *q = sm_pb_put_bytes(any, 1, type, sizeof type - 1);
        q = sm_pb_put_bytes(q, 2, info, info_size);
        p = sm_pb_put_bytes(p, 3, any, (size_t)(q - any));
    }
    return (size_t)(p - out);
}

size_t sm_rpc_export_proto(uint8_t out[SM_RPC_STATUS_SIZE_MAX], uint32_t rejected, const char *message)
{
    if (!rejected)
        return 0;
    uint8_t partial[TEXT_MAX + 32];
    uint8_t *p = sm_pb_put_uint(partial, 1, rejected);
    p = sm_pb_put_bytes(p, 2, message, text_size(message));
    return (size_t)(sm_pb_put_bytes(out, 1, partial, (size_t)(p - partial)) - out);
}

/* Texts are ours and short: escaping may at most double them. */
static size_t finish_json(struct sm_buf *b, char out[SM_RPC_STATUS_SIZE_MAX])
{
    size_t n = SM_MIN(b->size, (size_t)SM_RPC_STATUS_SIZE_MAX);
    memcpy(out, b->data, n);
    sm_buf_fini(b);
    return n;
}

size_t sm_rpc_status_json(char out[SM_RPC_STATUS_SIZE_MAX], uint32_t code, const char *message)
{
    struct sm_buf b = {.size_max = SM_RPC_STATUS_SIZE_MAX};
    sm_buf_printf(&b, "{\"code\":%u,\"message\":", code);
    sm_json_put_string(&b, sm_str(message, SM_MIN(text_size(message), (size_t)TEXT_MAX / 2)));
    sm_buf_putc(&b, '}');
    return finish_json(&b, out);
}

size_t sm_rpc_export_json(char out[SM_RPC_STATUS_SIZE_MAX], uint32_t rejected, const char *message)
{
    struct sm_buf b = {.size_max = SM_RPC_STATUS_SIZE_MAX};
    if (rejected) {
        sm_buf_printf(&b, "{\"partialSuccess\":{\"rejectedSpans\":\"%u\",\"errorMessage\":", rejected);
        sm_json_put_string(&b, sm_str(message, SM_MIN(text_size(message), (size_t)TEXT_MAX / 2)));
        sm_buf_puts(&b, "}}");
    } else {
        sm_buf_puts(&b, "{}");
    }
    return finish_json(&b, out);
}
