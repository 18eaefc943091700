/* Stored records: decoded without trust; what was decoded can be encoded and reads the same. */
#include "store/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_again(const struct sm_store_meta *meta, const struct sm_record_spans *from)
{
    struct sm_record_scratch scratch = {0};
    struct sm_record_spans to = {0};
    struct sm_store_span *spans = sm_xcalloc(from->count + 1, sizeof *spans);
    struct sm_store_meta again, copy = *meta;
    struct sm_buf out = {0};
    for (uint32_t i = 0; i < from->count; i++)
        sm_store_describe(&from->spans[i], &spans[i]);
    sm_store_summarise(spans, from->count, &copy);
    sm_record_encode(&scratch, &copy, spans, &out);
    SM_ASSERT(sm_record_size(out.data, out.size) == out.size);
    SM_ASSERT(sm_record_decode(out.data, (uint32_t)out.size, &again, &to));
    SM_ASSERT(to.count == from->count && again.span_count == from->count);
    SM_ASSERT(again.id.hi == meta->id.hi && again.id.lo == meta->id.lo);
    SM_ASSERT(sm_str_eq(again.rule, sm_str(meta->rule.ptr, SM_MIN(meta->rule.len, (size_t)SM_STORE_RULE_BYTES_MAX))));
    free(spans);
    sm_buf_fini(&out);
    sm_record_spans_fini(&to);
    sm_record_scratch_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size + !size);
    struct sm_record_spans spans = {0};
    struct sm_store_meta meta;
    if (size)
        memcpy(exact, data, size);
    for (size_t at = 0; at < size;) {
        uint32_t n = sm_record_size(exact + at, size - at);
        if (!n)
            break;
        SM_ASSERT(n <= size - at);
        (void)sm_record_meta(exact + at, n, &meta);
        spans.count = 0;
        if (sm_record_decode(exact + at, n, &meta, &spans)) {
            SM_ASSERT(meta.span_count == spans.count);
            encode_again(&meta, &spans);
        }
        at += n;
    }
    sm_record_spans_fini(&spans);
    free(exact);
    return 0;
}
