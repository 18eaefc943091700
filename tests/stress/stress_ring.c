/* Ring, return stack and wake-up under real threads: several producers with a ring each feed one consumer that sleeps when
 * its rings are empty; items go home to their producer over a return stack. Checks that every item arrives once, in order per
 * producer, and that nobody sleeps for ever (the run would hang and be killed by the test's time limit).
 *
 * usage: stress_ring [items per producer] */
#include "base/mpsc.h"
#include "base/ring.h"
#include "base/wake.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { PRODUCERS = 3, ITEMS_OUT_MAX = 96, RING_CAPACITY = 64, POP_MAX = 16 };

struct item {
    struct sm_mpsc_node home;
    uint64_t sequence; /* plain memory: the ring and the stack must order it */
};

struct producer {
    struct sm_ring ring;
    struct sm_mpsc returned;
    struct item items[ITEMS_OUT_MAX];
    struct item *idle[ITEMS_OUT_MAX];
    uint32_t idle_count;
    uint64_t to_send;
    unsigned random;
};

static struct producer producers[PRODUCERS];
static struct sm_wake consumer_wake;

static void collect(struct producer *p)
{
    struct sm_mpsc_node *n = sm_mpsc_take(&p->returned);
    while (n) {
        struct sm_mpsc_node *next = n->next;
        struct item *it = SM_CONTAINER_OF(n, struct item, home);
        it->sequence = UINT64_MAX;
        p->idle[p->idle_count++] = it;
        n = next;
    }
}

/* Sends a burst of 1 to 8 items, alternating between the three ways to push. */
static uint64_t send_burst(struct producer *p, uint64_t sequence)
{
    uint32_t want = 1 + (uint32_t)rand_r(&p->random) % 8;
    want = SM_MIN(want, p->idle_count);
    want = (uint32_t)SM_MIN(want, p->to_send - sequence);
    uint32_t room = sm_ring_free_slots(&p->ring, want);
    want = SM_MIN(want, room);
    void *burst[8];
    for (uint32_t i = 0; i < want; i++) {
        struct item *it = p->idle[--p->idle_count];
        it->sequence = sequence + i;
        burst[i] = it;
    }
    if (want % 2) {
        for (uint32_t i = 0; i < want; i++)
            SM_ASSERT(sm_ring_stage(&p->ring, burst[i]));
        sm_ring_publish(&p->ring);
    } else {
        SM_ASSERT(sm_ring_push_n(&p->ring, burst, want) == want);
    }
    if (want)
        sm_wake_notify(&consumer_wake);
    return want;
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (uint64_t sent = 0; sent < p->to_send;) {
        collect(p);
        uint64_t n = send_burst(p, sent);
        sent += n;
        if (n == 0 || rand_r(&p->random) % 64 == 0)
            sched_yield();
    }
    while (p->idle_count < ITEMS_OUT_MAX) {
        collect(p);
        sched_yield();
    }
    return NULL;
}

static uint64_t consume_some(uint64_t *expected)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        void *got[POP_MAX];
        uint32_t n = sm_ring_pop_n(&producers[i].ring, got, POP_MAX);
        for (uint32_t k = 0; k < n; k++) {
            struct item *it = got[k];
            SM_ASSERT(it->sequence == expected[i]);
            expected[i]++;
            sm_mpsc_push(&producers[i].returned, &it->home);
        }
        total += n;
    }
    return total;
}

static uint64_t consume_all(uint64_t total)
{
    uint64_t expected[PRODUCERS] = {0}, got = 0, sleeps = 0;
    while (got < total) {
        uint64_t n = consume_some(expected);
        got += n;
        if (n)
            continue;
        sm_wake_prepare(&consumer_wake);
        n = consume_some(expected);
        got += n;
        if (n) {
            sm_wake_cancel(&consumer_wake);
        } else if (got < total) {
            sleeps++;
            sm_wake_wait(&consumer_wake, -1);
        }
    }
    return sleeps;
}

int main(int argc, char **argv)
{
    uint64_t each = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;
    struct sm_err err;
    if (sm_wake_init(&consumer_wake, &err) != SM_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    pthread_t threads[PRODUCERS];
    for (unsigned i = 0; i < PRODUCERS; i++) {
        struct producer *p = &producers[i];
        sm_ring_init(&p->ring, RING_CAPACITY);
        p->to_send = each;
        p->random = i + 1;
        for (uint32_t k = 0; k < ITEMS_OUT_MAX; k++)
            p->idle[p->idle_count++] = &p->items[k];
        SM_ASSERT(pthread_create(&threads[i], NULL, produce, p) == 0);
    }
    uint64_t sleeps = consume_all(each * PRODUCERS);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        SM_ASSERT(sm_ring_count(&producers[i].ring) == 0);
        sm_ring_fini(&producers[i].ring);
    }
    sm_wake_fini(&consumer_wake);
    printf("ok: %llu items, consumer slept %llu times\n", (unsigned long long)(each * PRODUCERS),
           (unsigned long long)sleeps);
    return 0;
}
