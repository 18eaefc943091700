/* Feeds bytes to the decompressors. The first byte chooses the coding and whether the limits are tight. */
#include "base/net/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sm_inflater *inflater;
    if (!inflater)
        inflater = sm_inflater_new();
    if (!size)
        return 0;
    struct sm_payload_pool *pool = sm_payload_pool_new(0);
    struct sm_inflate_limits limits = {
        .bytes_max = 1 << 20, .ratio_max = 100, .ratio_free_bytes = 65536, .zstd_window_log_max = 20};
    if (data[0] & 8)
        limits = (struct sm_inflate_limits){
            .bytes_max = 100, .ratio_max = 2, .ratio_free_bytes = 10, .zstd_window_log_max = 12};
    enum sm_coding coding = (enum sm_coding)((data[0] & 7) % SM_CODING_UNKNOWN);
    struct sm_payload *out = NULL;
    if (sm_inflate(inflater, coding, sm_str(data + 1, size - 1), &limits, pool, &out) == SM_OK) {
        SM_ASSERT(out->size <= limits.bytes_max);
        sm_payload_put(out);
    }
    sm_payload_pool_free(pool);
    return 0;
}
