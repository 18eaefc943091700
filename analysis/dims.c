/* Configured dimensions of span metrics. */
#include "analysis/dims.h"

#include "base/pb.h"
#include "span/attr.h"

#include <stdlib.h>

/* Resources seen lately, by content hash; a process sends few, and a miss only costs a walk over its attributes. */
enum { CACHED_MAX = 256 };

struct cached {
    uint64_t hash; /* of the resource; 0: free */
    struct sm_buf text;
    uint32_t ends[SM_DIMS_MAX]; /* of each value in text */
};

struct sm_dims_reader {
    const struct sm_dims *dims;
    struct cached *cached; /* CACHED_MAX, direct-mapped */
    struct sm_buf out;
    struct sm_buf value;
};

static bool cut_prefix(struct sm_str *key, struct sm_str prefix)
{
    if (key->len <= prefix.len || memcmp(key->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    *key = sm_str(key->ptr + prefix.len, key->len - prefix.len);
    return true;
}

static void make_label(char *label, struct sm_str key, const struct sm_str *reserved, unsigned reserved_count)
{
    char *at = label;
    if (key.ptr[0] >= '0' && key.ptr[0] <= '9')
        *at++ = '_';
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        *at++ = plain ? c : '_';
    }
    *at = 0;
    for (unsigned i = 0; i < reserved_count; i++) {
        if (sm_str_eq(sm_str_c(label), reserved[i])) {
            memmove(label + 2, label, (size_t)(at - label) + 1);
            memcpy(label, "__", 2);
            return;
        }
    }
}

static bool label_is_there(const struct sm_dims *dims, const char *label)
{
    for (unsigned i = 0; i < dims->count; i++)
        if (strcmp(dims->dims[i].label, label) == 0)
            return true;
    return false;
}

enum sm_rc sm_dims_add(struct sm_dims *dims, struct sm_wanted *wanted, struct sm_str key, const struct sm_str *reserved,
                       unsigned reserved_count, struct sm_err *err)
{
    if (dims->count == SM_DIMS_MAX)
        return sm_err_set(err, SM_E_LIMIT, "more than %d dimensions", SM_DIMS_MAX);
    bool of_resource = cut_prefix(&key, SM_STR("resource."));
    bool of_span = !of_resource && cut_prefix(&key, SM_STR("span."));
    if (!key.len || key.len > SM_DIMS_LABEL_MAX - 3)
        return sm_err_set(err, SM_E_INVALID, "a dimension's key has 1 to %d bytes", SM_DIMS_LABEL_MAX - 3);
    struct sm_dim dim = {.slot = SM_WANTED_NONE};
    make_label(dim.label, key, reserved, reserved_count);
    if (label_is_there(dims, dim.label))
        return sm_err_set(err, SM_E_INVALID, "two dimensions have the label %s", dim.label);
    enum sm_rc rc = of_resource ? SM_OK : sm_wanted_add(wanted, key, &dim.slot);
    if (rc != SM_OK)
        return sm_err_set(err, rc, "the table of wanted attribute keys is full");
    if (!of_span)
        dim.resource_key = sm_xstrndup(key.ptr, key.len);
    dims->dims[dims->count++] = dim;
    return SM_OK;
}

void sm_dims_fini(struct sm_dims *dims)
{
    for (unsigned i = 0; i < dims->count; i++)
        free(dims->dims[i].resource_key);
    dims->count = 0;
}

struct sm_dims_reader *sm_dims_reader_new(const struct sm_dims *dims)
{
    struct sm_dims_reader *r = sm_xcalloc(1, sizeof *r);
    r->dims = dims;
    r->cached = sm_xcalloc(CACHED_MAX, sizeof *r->cached);
    return r;
}

void sm_dims_reader_free(struct sm_dims_reader *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < CACHED_MAX; i++)
        sm_buf_fini(&r->cached[i].text);
    free(r->cached);
    sm_buf_fini(&r->out);
    sm_buf_fini(&r->value);
    free(r);
}

/* The text of a value that is not longer than a label may be. */
static struct sm_str value_text(struct sm_dims_reader *r, const struct sm_value *value)
{
    struct sm_str text = value->bytes;
    if (value->type != SM_VALUE_STRING) {
        sm_buf_clear(&r->value);
        sm_value_text(value, &r->value);
        text = sm_buf_str(&r->value);
    }
    return text.len > SM_DIMS_VALUE_MAX ? SM_STR("(too long)") : text;
}

static void read_resource(struct sm_dims_reader *r, struct cached *c, const struct sm_resource *resource)
{
    c->hash = resource->hash;
    sm_buf_clear(&c->text);
    for (unsigned i = 0; i < r->dims->count; i++) {
        const char *key = r->dims->dims[i].resource_key;
        struct sm_value value;
        if (key && sm_attr_find(resource->bytes.ptr, resource->bytes.len, 1, sm_str_c(key), &value))
            sm_buf_put_str(&c->text, value_text(r, &value));
        c->ends[i] = (uint32_t)c->text.size;
    }
}

static const struct cached *cached_resource(struct sm_dims_reader *r, const struct sm_resource *resource)
{
    struct cached *c = &r->cached[resource->hash % CACHED_MAX];
    if (c->hash != resource->hash)
        read_resource(r, c, resource);
    return c;
}

static struct sm_str resource_value(const struct cached *c, unsigned i)
{
    uint32_t start = i ? c->ends[i - 1] : 0;
    return c->ends[i] > start ? sm_str(c->text.data + start, c->ends[i] - start) : SM_STR("");
}

static struct sm_str dim_value(struct sm_dims_reader *r, unsigned i, const struct sm_view_span *span,
                               const struct cached *c)
{
    uint32_t slot = r->dims->dims[i].slot;
    struct sm_value value;
    if (slot != SM_WANTED_NONE && sm_span_value(span->span, span->bytes, slot, &value))
        return value_text(r, &value);
    return c ? resource_value(c, i) : SM_STR("");
}

struct sm_str sm_dims_read(struct sm_dims_reader *r, const struct sm_view_span *span)
{
    const struct cached *c = span->resource ? cached_resource(r, span->resource) : NULL;
    sm_buf_clear(&r->out);
    for (unsigned i = 0; i < r->dims->count; i++) {
        struct sm_str value = dim_value(r, i, span, c);
        uint8_t size[SM_PB_VARINT_SIZE_MAX];
        sm_buf_put(&r->out, size, (size_t)(sm_pb_put_varint(size, value.len) - size));
        sm_buf_put_str(&r->out, value);
    }
    return sm_buf_str(&r->out);
}

void sm_dims_split(const struct sm_dims *dims, struct sm_str text, struct sm_str *values)
{
    const uint8_t *p = (const uint8_t *)text.ptr, *end = p + text.len;
    for (unsigned i = 0; i < dims->count; i++) {
        uint64_t size;
        p = sm_pb_varint(p, end, &size);
        SM_ASSERT(p && size <= (uint64_t)(end - p)); /* our own writing */
        values[i] = sm_str(p, size);
        p += size;
    }
}
