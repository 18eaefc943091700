/* Recorded spans from files and standard input, one payload at a time.
 *
 * What a file holds is told by its first bytes, never by its name: gzip or zstd around it; inside, JSON documents (file_json.h), in a line
 * each, as the collector's file exporter writes OTLP, or formatted, each one of OTLP, lists of Zipkin's spans, what Jaeger's UI downloads, or a
 * span of Jaeger's as it lies in Kafka; OTLP protobuf messages with a 4-byte big-endian length before each (file exporter, format proto); such
 * messages or texts each by itself in zstd (file exporter, compression zstd); or one payload as it was sent: the body of a request with protobuf
 * or thrift, a datagram for Jaeger's agent.
 *
 * One thread. Memory: one buffer that grows to the largest record, at most record_bytes_max; another one for messages in zstd. */
#ifndef SM_FILE_H
#define SM_FILE_H

#include "base/base.h"
#include "base/payload.h"
#include "span/codec/codec.h"

struct sm_file;

/* path "-": standard input. */
struct sm_file *sm_file_open(const char *path, size_t record_bytes_max, struct sm_err *err) SM_MUST_USE;
void sm_file_close(struct sm_file *f);

/* The next record in a payload of `pool`, and the codec that understands it. SM_E_CLOSED at the end; SM_E_TRUNCATED when the
 * file ends inside a record (the last of a recording that was cut); SM_E_LIMIT for a record over the limit, SM_E_INVALID for
 * bytes that are none of the formats, SM_E_IO. After anything but SM_OK and SM_E_LIMIT there is no next record. */
enum sm_rc sm_file_next(struct sm_file *f, struct sm_payload_pool *pool, struct sm_payload **payload,
                        const struct sm_codec **codec, struct sm_err *err) SM_MUST_USE;

/* Progress: bytes of the file that were read, and its size (0: not known). */
void sm_file_progress(const struct sm_file *f, uint64_t *read_bytes, uint64_t *size_bytes);

#endif
