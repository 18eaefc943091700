/* Reading JSON values as Zipkin means them, for both versions of the format. Kinder than the reader of zipkin2
 * where clients get it wrong: hex digits of either case, numbers with fraction or exponent or in quotes, texts
 * that are not strings. Errors are the JSON reader's. */
#ifndef SM_ZIPKIN_JSON_H
#define SM_ZIPKIN_JSON_H

#include "base/json.h"
#include "span/codec/codec.h"

#define SM_ZIPKIN_JSON_KEY_SIZE_MAX 64 /* of known keys, were each character written as an escape */

/* A string, or what else stands there as text. False at errors and for null, which is passed over. */
SM_INLINE bool sm_zipkin_json_text(struct sm_json *j, struct sm_json_text *text)
{
    if (SM_LIKELY(sm_json_peek(j) == SM_JSON_STRING))
        return sm_json_string(j, text);
    if (sm_json_null(j))
        return false;
    struct sm_str raw;
    if (!sm_json_raw(j, &raw))
        return false;
    *text = (struct sm_json_text){(const uint8_t *)raw.ptr, raw.len, false};
    return true;
}

/* Microseconds; 0: null, zero or negative. Less than one is one. */
uint64_t sm_zipkin_json_micros(struct sm_json *j);
/* null leaves the value as it is. */
void sm_zipkin_json_bool(struct sm_json *j, bool *value);
/* 0: null, zero or negative. */
uint16_t sm_zipkin_json_port(struct sm_json *j);

/* Ids. False at errors and for null, which leaves the id as it is. */
bool sm_zipkin_json_trace_id(struct sm_json *j, struct sm_trace_id *id);
bool sm_zipkin_json_id(struct sm_json *j, uint64_t *id);
/* 0: null, empty or all zeros: there is none. */
uint64_t sm_zipkin_json_parent_id(struct sm_json *j);

/* Decodes by `decode`, and once more from a copy when it was refused and has bytes that are not UTF-8: then with U+FFFD in their
 * place. Envoy writes some bytes of strangers' headers into its JSON as they are, and a span with such must not take the others with
 * it. A body that is no UTF-8 for more than a quarter stays refused. */
typedef enum sm_rc sm_zipkin_json_decoder(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err);
enum sm_rc sm_zipkin_json_decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err,
                                 sm_zipkin_json_decoder *decode) SM_MUST_USE;

#endif
