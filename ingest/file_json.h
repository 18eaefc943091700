/* JSON documents in a recording: where each one ends, and what is in it. Pure functions over bytes.
 *
 * Documents stand one after the other, in a line each or spread over lines; the elements of a list of documents count as documents.
 * Only brackets and strings are looked at: whether a document is well-formed is the codec's to say. */
#ifndef SM_FILE_JSON_H
#define SM_FILE_JSON_H

#include "base/base.h"
#include "span/codec/codec.h"

/* What has been seen of the document at hand; starts zero-initialised. */
struct sm_file_json_scan {
    size_t size; /* bytes looked at; once the end is found: those of the document */
    uint32_t depth;
    uint8_t last; /* the last one that is no white space */
    bool in_string, escaped;
    bool lines; /* there was the end of a line in it */
};

/* Goes on at s->size with a document whose first n bytes, beginning with a bracket, are at p. True when its end is found, false when more
 * bytes are needed. A document that was cut, with another one beginning in the next line, ends with its line. */
bool sm_file_json_scan(struct sm_file_json_scan *s, const uint8_t *p, size_t n);

/* Whether the n bytes at p, or what follows them, are a list of documents: of traces as Zipkin's and Jaeger's query APIs give them, or of
 * OTLP documents. A list of Zipkin's spans is one document. */
bool sm_file_json_is_list(const uint8_t *p, size_t n);

/* The codec of a document. What is in the envelope of a reply of Jaeger's API v3 is OTLP: *document becomes that. */
const struct sm_codec *sm_file_json_codec(struct sm_str *document);

#endif
