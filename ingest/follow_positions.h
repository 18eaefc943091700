/* Where the reading of followed files goes on: a text file, replaced as a whole.
 * docs/formats/positions.md describes it. */
#ifndef SM_FOLLOW_POSITIONS_H
#define SM_FOLLOW_POSITIONS_H

#include "base/base.h"
#include "base/buf.h"

#define SM_FOLLOW_HASHED_MAX    1024
#define SM_FOLLOW_POSITIONS_MAX 100000
#define SM_FOLLOW_BYTES_MAX     (16 << 20)

struct sm_follow_position {
    uint64_t inode, offset, hash;
    uint32_t hashed;
};

/* Appends the file's head, then one file's line. Control characters in the path become '?'. */
void sm_follow_positions_begin(struct sm_buf *out);
void sm_follow_positions_put(struct sm_buf *out, const struct sm_follow_position *p, const char *path);

/* Reads what these two wrote into an array that the caller frees. SM_E_INVALID: it is something else. */
enum sm_rc sm_follow_positions_parse(struct sm_str text, struct sm_follow_position **positions, size_t *count) SM_MUST_USE;

/* SM_E_NOTFOUND when there is no file. */
enum sm_rc sm_follow_positions_load(const char *path, struct sm_follow_position **positions, size_t *count,
                                    struct sm_err *err) SM_MUST_USE;
/* Replaces the file, durably. Blocks. */
enum sm_rc sm_follow_positions_save(const char *path, struct sm_str text, struct sm_err *err) SM_MUST_USE;

/* Hash of the first n (at most SM_FOLLOW_HASHED_MAX) bytes; false when there are not as many. */
bool sm_follow_positions_hash(int fd, uint32_t n, uint64_t *hash);

#endif
