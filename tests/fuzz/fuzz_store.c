/* A sealed segment with bytes changed: the store always opens, reads what it can, and goes on writing.
 *
 * Input: a mode byte, then edits (position in 3 bytes, how many bytes, the bytes). Mode bit 0: checksums of blocks, sections and
 * directory are made right again afterwards, so that what they protect is reached. Bit 1: the file is cut at the last edit. */
#include "base/crc32c.h"
#include "base/log.h"
#include "store/format.h"
#include "store/store.h"
#include "tests/support/codec_env.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_NS (INT64_C(1700000100) * SM_SEC)
#define MEMORY "/dev/shm" /* files there cost no disk writes */
enum { BLOCKS_MAX = 64, TRACES = 40 };

static char dir[64], name[SM_FORMAT_NAME_SIZE];
static uint64_t salt;
static struct sm_buf pristine, work;
static struct {
    uint64_t offset;
    uint32_t magic;
    struct sm_format_block header;
} blocks[BLOCKS_MAX];
static unsigned block_count;
static struct sm_format_trailer trailer;

static int no_sync(void *ctx SM_UNUSED, int fd SM_UNUSED)
{
    return 0;
}

static const struct sm_store_options options = {.block_bytes = 1400, .dictionary_bytes = 2100, .io = {.sync = no_sync}};

static void path_of(char out[256], const char *file)
{
    snprintf(out, 256, "%s/%s", dir, file);
}

static void clean(void)
{
    DIR *d = opendir(dir);
    char path[256];
    SM_ASSERT(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.'))
            continue;
        snprintf(path, sizeof path, "%s/%.100s", dir, e->d_name);
        unlink(path);
    }
    closedir(d);
}

static void remove_dir(void)
{
    clean();
    rmdir(dir);
}

static struct sm_store *open_store(void)
{
    struct sm_store *store = NULL;
    struct sm_err err = {0};
    SM_ASSERT(sm_store_open(dir, &options, NOW_NS, &store, &err) == SM_OK);
    return store;
}

static void append_trace(struct sm_store *store, uint64_t n)
{
    static struct codec_env e;
    char text[1024];
    if (!e.d.pool)
        codec_env_init(&e);
    snprintf(text, sizeof text,
             "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s%u\"}}]},"
             "\"scopeSpans\":[{\"spans\":[{\"traceId\":\"%032lx\",\"spanId\":\"%016lx\",\"name\":\"GET /%u\",\"kind\":2,"
             "\"startTimeUnixNano\":\"%lu\",\"endTimeUnixNano\":\"%lu\",\"attributes\":[{\"key\":\"a\",\"value\":{\"intValue\":"
             "\"%lu\"}}]}]}]}]}",
             (unsigned)(n % 3), (unsigned long)n, (unsigned long)n, (unsigned)(n % 5), 1700000000000000000 + n * 1000000,
             1700000000000000000 + n * 1000000 + 500, (unsigned long)(n * n));
    SM_ASSERT(codec_env_decode_text(&e, &sm_codec_otlp_json, text) == SM_OK && e.batch.count == 1);
    struct sm_encode_span *encode = codec_env_spans(&e);
    struct sm_store_span span;
    struct sm_store_trace trace = {.meta = {.id = {.lo = n}, .stored_ns = NOW_NS, .span_count = 1, .rule = SM_STR("r")}, .spans = &span};
    struct sm_err err = {0};
    sm_store_describe(encode, &span);
    sm_store_summarise(&span, 1, &trace.meta);
    SM_ASSERT(sm_store_append(store, &trace, &err) == SM_OK);
    free(encode);
}

static void find_segment(void)
{
    DIR *d = opendir(dir);
    uint64_t id;
    for (struct dirent *e; (e = readdir(d));) {
        if (strlen(e->d_name) == SM_FORMAT_NAME_SIZE - 1 && sm_format_name_parse(e->d_name, &id, &salt))
            snprintf(name, sizeof name, "%.37s", e->d_name);
    }
    closedir(d);
    SM_ASSERT(name[0]);
}

static void read_segment(void)
{
    char path[256];
    struct stat st;
    path_of(path, name);
    int fd = open(path, O_RDONLY);
    SM_ASSERT(fd >= 0 && fstat(fd, &st) == 0 && sm_buf_reserve(&pristine, (size_t)st.st_size));
    SM_ASSERT(read(fd, pristine.data, (size_t)st.st_size) == st.st_size);
    pristine.size = (size_t)st.st_size;
    close(fd);
    for (uint64_t at = SM_FORMAT_FILE_HEADER_SIZE; at + SM_FORMAT_BLOCK_HEADER_SIZE < pristine.size && block_count < BLOCKS_MAX;) {
        struct sm_format_block *h = &blocks[block_count].header;
        uint32_t magic = sm_load_le32(pristine.data + at);
        if (!sm_format_block_unpack(pristine.data + at, magic, salt, h))
            break;
        blocks[block_count].offset = at;
        blocks[block_count++].magic = magic;
        at += SM_FORMAT_BLOCK_HEADER_SIZE + h->size;
    }
    SM_ASSERT(block_count > 3);
    SM_ASSERT(sm_format_trailer_unpack(pristine.data + pristine.size - SM_FORMAT_TRAILER_SIZE, salt, &trailer));
}

static void prepare(void)
{
    sm_log_setup(&(struct sm_log_config){.fd = open("/dev/null", O_WRONLY)});
    snprintf(dir, sizeof dir, "%.40s/spanmill-fuzz-XXXXXX", access(MEMORY, W_OK) == 0 ? MEMORY : P_tmpdir);
    SM_ASSERT(mkdtemp(dir));
    atexit(remove_dir);
    struct sm_store *store = open_store();
    struct sm_err err;
    for (uint64_t n = 1; n <= TRACES; n++)
        append_trace(store, n);
    SM_ASSERT(sm_store_seal(store, &err) == SM_OK);
    sm_store_close(store);
    find_segment();
    read_segment();
}

/* Applies the edits; where the last one was. */
static size_t edit(const uint8_t *data, size_t size)
{
    size_t last = 0;
    while (size > 4) {
        size_t at = (data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % work.size, n = SM_MIN((size_t)data[3], size - 4);
        n = SM_MIN(n, work.size - at);
        memcpy(work.data + at, data + 4, n);
        last = at;
        data += 4 + n;
        size -= 4 + n;
    }
    return last;
}

static void renew_sections(void)
{
    struct sm_format_directory directory;
    uint8_t packed[SM_FORMAT_DIRECTORY_SIZE_MAX];
    struct sm_format_trailer t = trailer;
    if (sm_format_directory_unpack(work.data + t.directory_offset, t.directory_size, &directory)) {
        for (unsigned i = 0; i < SM_SECTION_COUNT; i++) {
            struct sm_format_range *r = &directory.sections[i];
            if (r->offset <= work.size && r->size <= work.size - r->offset)
                r->crc = sm_crc32c(0, work.data + r->offset, r->size);
        }
        if (sm_format_directory_pack(&directory, packed) == t.directory_size)
            memcpy(work.data + t.directory_offset, packed, t.directory_size);
    }
    t.directory_crc = sm_crc32c(0, work.data + t.directory_offset, t.directory_size);
    sm_format_trailer_pack(&t, salt, work.data + work.size - SM_FORMAT_TRAILER_SIZE);
}

static void renew_checksums(void)
{
    for (unsigned i = 0; i < block_count; i++) {
        struct sm_format_block h = blocks[i].header;
        uint8_t *at = work.data + blocks[i].offset;
        h.crc = sm_crc32c(0, at + SM_FORMAT_BLOCK_HEADER_SIZE, h.size);
        sm_format_block_pack(&h, blocks[i].magic, salt, at);
    }
    renew_sections();
}

static bool found(void *ctx, const struct sm_store_found *trace)
{
    for (uint32_t i = 0; i < trace->meta.span_count; i++)
        SM_ASSERT(trace->spans[i].bytes.ptr || !trace->spans[i].bytes.len);
    ++*(unsigned *)ctx;
    return true;
}

static void count_name(void *ctx, struct sm_str text SM_UNUSED, enum sm_kind kind SM_UNUSED)
{
    ++*(unsigned *)ctx;
}

static void read_everything(struct sm_store *store)
{
    unsigned n = 0;
    struct sm_store_search_stats stats;
    struct sm_store_query query = sm_store_query_default;
    for (uint64_t id = 0; id <= TRACES + 1; id += 3)
        (void)sm_store_get(store, (struct sm_trace_id){.lo = id}, id % 2 ? SM_STORE_ID_LOW64 : SM_STORE_ID_EXACT, found, &n);
    (void)sm_store_search(store, &query, found, &n, &stats);
    query.service = SM_STR("s1");
    query.operation = SM_STR("GET /1");
    query.duration_max_ns = 1000;
    query.limit = 1000;
    (void)sm_store_search(store, &query, found, &n, &stats);
    query.match = SM_STORE_MATCH_TRACE;
    query.fold_case = true;
    (void)sm_store_search(store, &query, found, &n, &stats);
    sm_store_services(store, count_name, &n);
    sm_store_operations(store, SM_STR("s1"), false, count_name, &n);
    sm_store_remote_services(store, SM_STR("s1"), true, count_name, &n);
    sm_store_iterate(store, found, &n);
    (void)sm_store_check(store, NULL, NULL);
}

/* One more trace can be stored and is there. */
static void write_on(struct sm_store *store, uint64_t id)
{
    struct sm_err err;
    unsigned n = 0;
    append_trace(store, id);
    SM_ASSERT(sm_store_commit(store, &err) == SM_OK);
    SM_ASSERT(sm_store_get(store, (struct sm_trace_id){.lo = id}, SM_STORE_ID_EXACT, found, &n) == SM_OK && n == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[256];
    if (!pristine.size)
        prepare();
    if (size < 1)
        return 0;
    clean();
    sm_buf_clear(&work);
    sm_buf_put(&work, pristine.data, pristine.size);
    size_t last = edit(data + 1, size - 1);
    if (data[0] & 1)
        renew_checksums();
    path_of(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    size_t bytes = data[0] & 2 ? last : work.size;
    SM_ASSERT(fd >= 0 && write(fd, work.data, bytes) == (ssize_t)bytes);
    close(fd);
    struct sm_store *store = open_store();
    read_everything(store);
    write_on(store, 1000001);
    sm_store_tick(store, NOW_NS + SM_SEC);
    sm_store_close(store);
    store = open_store();
    read_everything(store);
    write_on(store, 1000002);
    sm_store_close(store);
    return 0;
}
