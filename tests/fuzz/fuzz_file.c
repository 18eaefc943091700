/* Recordings: whatever a file holds, reading it ends, with records within the limit. */
#include "ingest/file.h"
#include "tests/support/codec_env.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD_BYTES_MAX = 1 << 16 };

static struct codec_env e;

static void decode(struct sm_payload *p, const struct sm_codec *codec)
{
    struct sm_err err;
    SM_ASSERT(p->size <= RECORD_BYTES_MAX + (4 << 20)); /* the reader's buffer */
    sm_batch_clear(&e.batch);
    (void)codec->decode(&e.d, p, &e.batch, &err);
    sm_payload_put(p);
}

static void read_all(struct sm_file *f)
{
    for (;;) {
        struct sm_payload *p = NULL;
        const struct sm_codec *codec;
        struct sm_err err = {0};
        enum sm_rc rc = sm_file_next(f, e.d.pool, &p, &codec, &err);
        SM_ASSERT((rc == SM_OK) == (p != NULL));
        SM_ASSERT(rc == SM_OK || rc == SM_E_CLOSED || err.text[0]);
        if (p)
            decode(p, codec);
        else if (rc != SM_E_LIMIT)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct sm_err err = {0};
    if (!e.d.pool)
        codec_env_init(&e);
    int fd = memfd_create("recording", MFD_CLOEXEC);
    SM_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct sm_file *f = sm_file_open(path, RECORD_BYTES_MAX, &err);
    if (f)
        read_all(f);
    sm_file_close(f);
    sm_batch_clear(&e.batch);
    close(fd);
    return 0;
}
