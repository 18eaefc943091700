/* Reading CURVE keys. */
#include "ingest/zeromq_keys.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { Z85_SIZE = 40, FILES_MAX = 10000 };

/* How long what was read is good for: 100 ms, and 1 ms per key, so that strangers cannot keep anybody reading. */
#define READ_AGAIN_NS     (100 * SM_MS)
#define READ_AGAIN_KEY_NS SM_MS

struct sm_zeromq_keys {
    char *path;
    uint8_t (*keys)[SM_ZEROMQ_KEY_BYTES];
    size_t count, capacity;
    int64_t read_ns; /* 0: when it was opened */
};

/* ---- files ---- */

static enum sm_rc read_file(const char *path, struct sm_buf *out, struct sm_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SM_ZEROMQ_FILE_BYTES_MAX) {
        int why = fd < 0 ? errno : 0;
        if (fd >= 0)
            close(fd);
        return sm_err_set(err, SM_E_IO, "%s: %s", path, why ? strerror(why) : "not a file of keys");
    }
    sm_buf_reserve(out, (size_t)st.st_size + 1);
    ssize_t n = read(fd, out->data, (size_t)st.st_size);
    close(fd);
    if (n < 0)
        return sm_err_set(err, SM_E_IO, "%s: cannot be read", path);
    out->size = (size_t)n;
    return SM_OK;
}

/* ---- lines ---- */

static bool is_z85(struct sm_str text)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    if (text.len != Z85_SIZE)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!text.ptr[i] || !strchr(alphabet, text.ptr[i]))
            return false;
    }
    return true;
}

/* `name = "KEY"`; false when the line is another one. */
static bool named(struct sm_str line, const char *name, struct sm_str *key)
{
    size_t n = strlen(name);
    if (line.len <= n || memcmp(line.ptr, name, n) != 0)
        return false;
    struct sm_str rest = sm_str_trim(sm_str(line.ptr + n, line.len - n));
    if (rest.len == 0 || *rest.ptr != '=')
        return false;
    rest = sm_str_trim(sm_str(rest.ptr + 1, rest.len - 1));
    if (rest.len >= 2 && *rest.ptr == '"' && rest.ptr[rest.len - 1] == '"')
        rest = sm_str(rest.ptr + 1, rest.len - 2);
    *key = rest;
    return is_z85(rest);
}

/* The next line's key that is written by itself or with this name. */
static bool next_key(struct sm_str *text, const char *name, struct sm_str *key)
{
    while (text->len) {
        struct sm_str line = sm_str_cut_line(text);
        if (named(line, name, key))
            return true;
        *key = line;
        if (is_z85(line))
            return true;
    }
    return false;
}

/* Five digits to four bytes may still exceed 32 bits; libzmq says so. */
static bool decode(struct sm_str key, uint8_t out[SM_ZEROMQ_KEY_BYTES])
{
    char text[Z85_SIZE + 1];
    memcpy(text, key.ptr, Z85_SIZE);
    text[Z85_SIZE] = '\0';
    bool ok = zmq_z85_decode(out, text) != NULL;
    explicit_bzero(text, sizeof text);
    return ok;
}

enum sm_rc sm_zeromq_secret_key(const char *path, uint8_t key[SM_ZEROMQ_KEY_BYTES], struct sm_err *err)
{
    struct sm_buf buf = {0};
    struct sm_str found;
    enum sm_rc rc = read_file(path, &buf, err);
    if (rc != SM_OK)
        return rc;
    struct sm_str text = sm_buf_str(&buf);
    if (!next_key(&text, "secret-key", &found) || !decode(found, key))
        rc = sm_err_set(err, SM_E_INVALID, "%s: has no secret key of 40 characters (Z85)", path);
    explicit_bzero(buf.data, buf.size);
    sm_buf_fini(&buf);
    return rc;
}

/* ---- sets ---- */

static void add(struct sm_zeromq_keys *keys, struct sm_str key)
{
    if (keys->count == SM_ZEROMQ_KEYS_MAX)
        return;
    if (keys->count == keys->capacity) {
        keys->capacity = SM_MAX(keys->capacity * 2, (size_t)16);
        keys->keys = sm_xrealloc(keys->keys, keys->capacity * sizeof *keys->keys);
    }
    keys->count += decode(key, keys->keys[keys->count]);
}

static enum sm_rc add_file(struct sm_zeromq_keys *keys, const char *path, struct sm_err *err)
{
    struct sm_buf buf = {0};
    struct sm_str key;
    enum sm_rc rc = read_file(path, &buf, err);
    for (struct sm_str text = sm_buf_str(&buf); rc == SM_OK && next_key(&text, "public-key", &key);)
        add(keys, key);
    sm_buf_fini(&buf);
    return rc;
}

/* Files that cannot be read are passed over; hidden ones, too. */
static void add_directory(struct sm_zeromq_keys *keys, DIR *dir)
{
    struct dirent *entry;
    struct sm_err ignored;
    for (unsigned i = 0; i < FILES_MAX && (entry = readdir(dir)); i++) {
        char path[4096];
        int n = snprintf(path, sizeof path, "%s/%s", keys->path, entry->d_name);
        if (entry->d_name[0] != '.' && n > 0 && (size_t)n < sizeof path)
            (void)!add_file(keys, path, &ignored);
    }
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, SM_ZEROMQ_KEY_BYTES);
}

static enum sm_rc read_keys(struct sm_zeromq_keys *keys, struct sm_err *err)
{
    enum sm_rc rc = SM_OK;
    keys->count = 0;
    int fd = open(keys->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* opendir does not tell ThreadSanitizer of the descriptor */
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir) {
        add_directory(keys, dir);
        closedir(dir);
    } else {
        rc = add_file(keys, keys->path, err);
    }
    if (rc == SM_OK && keys->count == 0)
        rc = sm_err_set(err, SM_E_INVALID, "%s: has no public key of 40 characters (Z85)", keys->path);
    if (keys->count)
        qsort(keys->keys, keys->count, sizeof *keys->keys, compare);
    return rc;
}

struct sm_zeromq_keys *sm_zeromq_keys_new(const char *path, struct sm_err *err)
{
    struct sm_zeromq_keys *keys = sm_xcalloc(1, sizeof *keys);
    keys->path = sm_xstrndup(path, strlen(path));
    if (read_keys(keys, err) == SM_OK)
        return keys;
    sm_zeromq_keys_free(keys);
    return NULL;
}

void sm_zeromq_keys_free(struct sm_zeromq_keys *keys)
{
    if (!keys)
        return;
    free(keys->keys);
    free(keys->path);
    free(keys);
}

size_t sm_zeromq_keys_count(const struct sm_zeromq_keys *keys)
{
    return keys->count;
}

bool sm_zeromq_keys_allow(struct sm_zeromq_keys *keys, const uint8_t key[SM_ZEROMQ_KEY_BYTES], int64_t mono_ns)
{
    struct sm_err ignored;
    if (mono_ns - keys->read_ns > READ_AGAIN_NS + (int64_t)keys->count * READ_AGAIN_KEY_NS) {
        keys->read_ns = mono_ns;
        if (read_keys(keys, &ignored) != SM_OK)
            keys->count = 0;
    }
    return keys->count && bsearch(key, keys->keys, keys->count, sizeof *keys->keys, compare);
}
