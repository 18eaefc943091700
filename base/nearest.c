/* Damerau-Levenshtein distance (restricted: no edits between swapped neighbours) over short words. */
#include "base/nearest.h"

#include <ctype.h>

enum { EDIT = 2, CASE_EDIT = 1 };

static unsigned replace_cost(char a, char b)
{
    if (a == b)
        return 0;
    return tolower((unsigned char)a) == tolower((unsigned char)b) ? CASE_EDIT : EDIT;
}

static unsigned distance(struct sm_str a, struct sm_str b)
{
    unsigned rows[3][SM_NEAREST_WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        above[j] = (unsigned)j * EDIT;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (unsigned)i * EDIT;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned best = above[j - 1] + replace_cost(a.ptr[i - 1], b.ptr[j - 1]);
            best = SM_MIN(best, above[j] + EDIT);
            best = SM_MIN(best, row[j - 1] + EDIT);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                best = SM_MIN(best, before[j - 2] + EDIT);
            row[j] = best;
        }
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b.len];
}

const char *sm_nearest(struct sm_str word, const char *const *names, size_t n_names)
{
    if (word.len == 0 || word.len > SM_NEAREST_WORD_MAX)
        return NULL;
    unsigned best = (unsigned)SM_MAX(word.len / 3, 1) * EDIT + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < n_names; i++) {
        struct sm_str name = sm_str_c(names[i]);
        if (name.len > SM_NEAREST_WORD_MAX)
            continue;
        unsigned d = distance(word, name);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
