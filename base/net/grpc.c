/* gRPC framing, status replies and their encodings; HTTP/2 carries them (http2.c). */
#include "base/net/grpc.h"
#include "base/net/http_impl.h"

void sm_grpc_prefix(uint8_t prefix[SM_GRPC_PREFIX_BYTES], bool compressed, uint32_t len)
{
    prefix[0] = compressed;
    sm_store_be32(prefix + 1, len);
}

static enum sm_rc check_prefix(struct sm_exchange *x)
{
    if (x->prefix[0] > 1)
        return SM_E_INVALID;
    x->pub.grpc_compressed = x->prefix[0];
    return sm_load_be32(x->prefix + 1) > x->server->limits.grpc_message_bytes_max ? SM_E_LIMIT : SM_OK;
}

enum sm_rc sm_grpc_add_body(struct sm_exchange *x, const uint8_t *at, size_t n)
{
    while (n && x->prefix_n < sizeof x->prefix) {
        x->prefix[x->prefix_n++] = *at++;
        n--;
        enum sm_rc rc = x->prefix_n == sizeof x->prefix ? check_prefix(x) : SM_OK;
        if (rc != SM_OK)
            return rc;
    }
    if (!n)
        return SM_OK;
    size_t size = x->body ? x->body->size : 0;
    if (n > sm_load_be32(x->prefix + 1) - size)
        return SM_E_INVALID; /* a second message: only unary calls are served */
    return sm_exchange_add_body(x, at, n);
}

enum sm_rc sm_grpc_finish_body(const struct sm_exchange *x)
{
    size_t size = x->body ? x->body->size : 0;
    bool is_whole = x->prefix_n == sizeof x->prefix && size == sm_load_be32(x->prefix + 1);
    return is_whole ? SM_OK : SM_E_TRUNCATED;
}

void sm_grpc_reply(struct sm_http_exchange *x, enum sm_grpc_status status, struct sm_str text, struct sm_str details,
                   struct sm_str message)
{
    struct sm_http_response response = {
        .body = message,
        .grpc_status = status,
        .grpc_message = text,
        .grpc_details = details,
    };
    sm_http_respond(x, &response);
}

static int64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return 3600 * SM_SEC;
    case 'M':
        return 60 * SM_SEC;
    case 'S':
        return SM_SEC;
    case 'm':
        return SM_MS;
    case 'u':
        return SM_US;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

/* At most eight digits and a unit. */
int64_t sm_grpc_timeout_ns(const struct sm_http_exchange *x)
{
    struct sm_str value = x->known[SM_HTTP_GRPC_TIMEOUT];
    if (value.len < 2 || value.len > 9)
        return INT64_MAX;
    int64_t amount = 0, unit = unit_ns(value.ptr[value.len - 1]);
    for (size_t i = 0; i < value.len - 1; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return INT64_MAX;
        amount = amount * 10 + (value.ptr[i] - '0');
    }
    return unit && amount <= INT64_MAX / unit ? amount * unit : INT64_MAX;
}

size_t sm_grpc_percent_encode(struct sm_str text, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    return (size_t)(to - out);
}

size_t sm_grpc_base64_encode(struct sm_str bytes, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    char *to = out;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t three =
            (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0u);
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        if (left > 1)
            *to++ = digits[three >> 6 & 63];
        if (left > 2)
            *to++ = digits[three & 63];
    }
    return (size_t)(to - out);
}
