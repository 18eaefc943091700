/* The file with sampling rates: any bytes; what is taken answers every service with JSON. */
#include "base/json.h"
#include "ingest/sampling_file.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const struct sm_sampling_file *f, struct sm_str service, bool legacy)
{
    struct sm_buf out = {0};
    struct sm_err err;
    sm_sampling_file_put(f, service, legacy, &out);
    struct sm_json j = sm_json_reader(out.data, out.size, 32);
    sm_json_skip(&j);
    SM_ASSERT(sm_json_end(&j, &err) == SM_OK);
    sm_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct sm_err err = {0};
    int fd = memfd_create("rates", MFD_CLOEXEC);
    SM_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct sm_sampling_file *f = sm_sampling_file_open(path, &err);
    SM_ASSERT(f || err.text[0]);
    for (unsigned legacy = 0; f && legacy < 2; legacy++) {
        check_reply(f, SM_STR("cart"), legacy);
        check_reply(f, SM_STR("batch"), legacy);
        check_reply(f, sm_str(data, SM_MIN(size, (size_t)8)), legacy);
    }
    sm_sampling_file_close(f);
    close(fd);
    return 0;
}
