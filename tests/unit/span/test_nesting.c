#include "span/nesting.h"

#include <criterion/criterion.h>

Test(nesting, outer_and_inner)
{
    static const struct {
        const char *what;
        struct sm_extent a, b;
        bool nested; /* b in a; a is never in b */
    } cases[] = {
        {"within", {10, 40}, {20, 30}, true},
        {"ends together", {10, 40}, {20, 40}, true},
        {"ends a little later", {10, 40}, {20, 41}, true},
        {"takes longer", {10, 40}, {11, 90}, true},
        {"begins together, shorter", {10, 40}, {10, 39}, true},
        {"begins at the end", {10, 40}, {40, 50}, false},
        {"begins after the end", {10, 40}, {41, 50}, false},
        {"the same", {10, 40}, {10, 40}, false},
        {"no start", {10, 40}, {0, 30}, false},
        {"no end", {10, 40}, {20, 0}, false},
        {"no length", {10, 40}, {20, 20}, false},
        {"ends before it begins", {10, 40}, {20, 15}, false},
        {"the outer one without a start", {0, 40}, {20, 30}, false},
        {"the outer one without an end", {10, 0}, {20, 30}, false},
        {"none at all", {0, 0}, {0, 0}, false},
        {"at the end of time", {10, UINT64_MAX}, {UINT64_MAX - 1, UINT64_MAX}, true},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_expect_eq(sm_extent_holds(cases[i].a, cases[i].b), cases[i].nested, "%s", cases[i].what);
        cr_expect(!sm_extent_holds(cases[i].b, cases[i].a), "%s, the other way round", cases[i].what);
    }
}
