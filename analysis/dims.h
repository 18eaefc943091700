/* Configured dimensions: further labels of span metrics, taken from attributes of spans and resources.
 *
 * A dimension is an attribute key: "span.KEY" is read from the span only, "resource.KEY" from the resource only, a bare
 * KEY from the span, else from the resource. Keys of spans become wanted slots (span/wanted.h), so that codecs leave
 * side records for them; dimensions are therefore added while configuration loads, before the table of wanted keys is
 * frozen. */
#ifndef SM_DIMS_H
#define SM_DIMS_H

#include "base/base.h"
#include "base/buf.h"
#include "span/view.h"
#include "span/wanted.h"

#define SM_DIMS_MAX       16
#define SM_DIMS_VALUE_MAX 256 /* bytes of a value; longer ones read "(too long)" */
#define SM_DIMS_LABEL_MAX 128 /* bytes of a label name */

struct sm_dim {
    char label[SM_DIMS_LABEL_MAX + 1];
    uint32_t slot;      /* SM_WANTED_NONE: not read from spans */
    char *resource_key; /* NULL: not read from resources */
};

struct sm_dims {
    struct sm_dim dims[SM_DIMS_MAX];
    unsigned count;
};

/* Adds a dimension. Its label is the key with everything outside [a-zA-Z0-9_] as '_', behind "__" if that is one of the
 * `reserved` labels. SM_E_LIMIT: too many dimensions or wanted keys; SM_E_INVALID: empty or too long a key, or a label
 * that is there already. `dims` starts zero-initialised. */
enum sm_rc sm_dims_add(struct sm_dims *dims, struct sm_wanted *wanted, struct sm_str key, const struct sm_str *reserved,
                       unsigned reserved_count, struct sm_err *err) SM_MUST_USE;
void sm_dims_fini(struct sm_dims *dims);

/* Reads values of spans; one per thread, remembers what it read from resources. */
struct sm_dims_reader;

struct sm_dims_reader *sm_dims_reader_new(const struct sm_dims *dims);
void sm_dims_reader_free(struct sm_dims_reader *r);

/* The values of all dimensions, each as a varint of its length and its bytes; empty where there is none. Valid until
 * the next call. */
struct sm_str sm_dims_read(struct sm_dims_reader *r, const struct sm_view_span *span);

/* Takes such a text apart again: values[i] for every dimension. */
void sm_dims_split(const struct sm_dims *dims, struct sm_str text, struct sm_str *values);

#endif
