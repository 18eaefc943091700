/* A published value under real threads: readers hold and check what they hold while the publisher replaces it as fast as it can.
 * Each value says the same thing several times over, so that one that was freed or is not whole is found out.
 *
 * usage: stress_published [values] */
#include "base/published.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { READERS = 3, WORDS = 16 };

struct value {
    uint64_t words[WORDS];
};

static struct sm_published *published;
static _Atomic bool is_over;
static _Atomic uint64_t made, freed;

static void free_value(void *arg)
{
    struct value *v = arg;
    memset(v, 0xee, sizeof *v);
    free(v);
    atomic_fetch_add(&freed, 1);
}

static void publish(uint64_t number)
{
    struct value *v = sm_xmalloc(sizeof *v);
    for (unsigned i = 0; i < WORDS; i++)
        v->words[i] = number;
    atomic_fetch_add(&made, 1);
    sm_published_set(published, v);
}

static void *read_main(void *arg)
{
    struct sm_published_reader *r = arg;
    uint64_t last = 0, reads = 0;
    while (!atomic_load(&is_over)) {
        const struct value *v = sm_published_hold(r);
        uint64_t number = v->words[0];
        SM_ASSERT(number >= last && number != UINT64_C(0xeeeeeeeeeeeeeeee));
        for (unsigned i = 1; i < WORDS; i++)
            SM_ASSERT(v->words[i] == number);
        sm_published_let_go(r);
        last = number;
        reads++;
    }
    return (void *)(uintptr_t)reads;
}

int main(int argc, char **argv)
{
    uint64_t values = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000, reads = 0;
    pthread_t threads[READERS];
    published = sm_published_new(free_value);
    publish(1);
    for (unsigned i = 0; i < READERS; i++)
        SM_ASSERT(pthread_create(&threads[i], NULL, read_main, sm_published_join(published)) == 0);
    for (uint64_t i = 2; i <= values; i++)
        publish(i);
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < READERS; i++) {
        void *n;
        pthread_join(threads[i], &n);
        reads += (uintptr_t)n;
    }
    sm_published_free(published);
    SM_ASSERT(atomic_load(&freed) == atomic_load(&made));
    printf("%llu values, %llu reads\n", (unsigned long long)values, (unsigned long long)reads);
    return 0;
}
