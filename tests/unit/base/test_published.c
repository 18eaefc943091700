#include "base/published.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static int freed[8];
static unsigned freed_n;

static void note_free(void *value)
{
    freed[freed_n++] = *(int *)value;
    free(value);
}

static void set(struct sm_published *p, int number)
{
    int *value = malloc(sizeof *value);
    *value = number;
    sm_published_set(p, value);
}

Test(published, nothing_at_first)
{
    struct sm_published *p = sm_published_new(note_free);
    struct sm_published_reader *r = sm_published_join(p);
    cr_expect_null(sm_published_hold(r));
    sm_published_let_go(r);
    sm_published_free(p);
    cr_expect_eq(freed_n, 0);
    sm_published_free(NULL);
}

Test(published, the_newest_is_read_and_old_ones_live_while_they_are_held)
{
    struct sm_published *p = sm_published_new(note_free);
    struct sm_published_reader *a = sm_published_join(p), *b = sm_published_join(p);
    set(p, 1);
    const int *first = sm_published_hold(a);
    cr_expect_eq(*first, 1);
    set(p, 2);
    cr_expect_eq(freed_n, 0, "a holds it");
    cr_expect_eq(*(const int *)sm_published_hold(b), 2);
    set(p, 3);
    cr_expect_eq(freed_n, 0);
    cr_expect_eq(*first, 1);
    sm_published_let_go(b);
    set(p, 4);
    cr_expect_eq(freed_n, 2, "those that nobody held");
    sm_published_let_go(a);
    cr_expect_eq(*(const int *)sm_published_hold(a), 4);
    sm_published_let_go(a);
    sm_published_free(p);
    cr_expect_eq(freed_n, 4);
    unsigned seen = 0;
    for (unsigned i = 0; i < 4; i++)
        seen |= 1u << freed[i];
    cr_expect_eq(seen, 0x1e);
}
