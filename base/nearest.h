/* "Did you mean ...?": the known name that a mistyped word is closest to. Cold path, any thread, no allocation. */
#ifndef SM_NEAREST_H
#define SM_NEAREST_H

#include "base/base.h"

#define SM_NEAREST_WORD_MAX 64 /* longer words have no near name */

/* The name with the fewest single-character edits (insert, delete, replace, swap of neighbours; case counts half), the
 * first of equals. NULL when none is within a third of the word's length (at least one edit). */
const char *sm_nearest(struct sm_str word, const char *const *names, size_t n_names) SM_MUST_USE;

#endif
