/* Readers of canonical bytes on bytes that no codec has seen: attributes, private field, Zipkin's view of them. */
#include "base/buf.h"
#include "span/attr.h"
#include "span/codec/zipkin.h"
#include "span/private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_attributes(const uint8_t *data, size_t size, struct sm_buf *out)
{
    struct sm_attr_iter it = sm_attr_iter(data, size, SM_OTLP_ATTRIBUTES);
    struct sm_str key;
    struct sm_value value;
    while (sm_attr_next(&it, &key, &value))
        sm_value_text(&value, out);
    if (sm_value_decode(data, size, &value))
        sm_value_json(&value, out);
    for (uint32_t at = 0; at < size && at < 64; at++)
        (void)sm_value_at(data, size, SM_WANTED_RECORD(0, at), &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size + !size);
    struct sm_buf out = {0};
    struct sm_private priv;
    struct sm_zipkin_span z = {0};
    if (size)
        memcpy(exact, data, size);
    struct sm_encode_span span = {.bytes = sm_str(exact, size), .resource = sm_str(exact, size), .scope = sm_str(exact, size)};
    read_attributes(exact, size, &out);
    if (sm_private_find(exact, size, &priv)) {
        uint8_t *copy = malloc(sm_private_size_max(&priv));
        struct sm_private again;
        SM_ASSERT(sm_private_find(copy, (size_t)(sm_private_put(copy, &priv) - copy), &again));
        SM_ASSERT(again.flags == priv.flags && again.local.port == priv.local.port);
        free(copy);
    }
    sm_private_plain(span.bytes, &out);
    struct sm_span head = {.size = (uint32_t)SM_MIN(size, (size_t)SM_SPAN_SIZE_MAX)};
    (void)sm_span_name_bytes(&head, exact);
    (void)sm_zipkin_span_from(&z, &span);
    sm_zipkin_span_fini(&z);
    sm_buf_fini(&out);
    free(exact);
    return 0;
}
