/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of src/io/worker.c. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"
#include "worker.h"

#define JOBS 100

struct job {
	pthread_t loop, ran_in;
	atomic_int *running; /* with this job's key */
	unsigned number;
	unsigned *last_done;
	atomic_bool ran;
	bool overlapped, done;
	unsigned done_after;
	int *gate; /* read by run() */
};

static void job_run(void *arg)
{
	struct job *j = arg;

	j->ran_in = pthread_self();
	j->ran = true;
	if (j->running) {
		j->overlapped = atomic_fetch_add(j->running, 1) > 0;
		usleep(100);
		atomic_fetch_sub(j->running, 1);
	}
	if (j->gate) {
		char byte;

		assert_int_equal(read(j->gate[0], &byte, 1), 1);
	}
}

static void job_done(void *arg)
{
	struct job *j = arg;

	assert_true(pthread_equal(pthread_self(), j->loop));
	j->done = true;
	if (j->last_done) {
		j->done_after = *j->last_done;
		*j->last_done = j->number;
	}
}

struct fixture {
	sd_event *event;
	struct worker_pool *pool;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(sd_event_new(&f->event), 0);
	assert_int_equal(worker_pool_new(f->event, "test", 4, &f->pool), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	worker_pool_free(f->pool);
	sd_event_unref(f->event);
	free(f);
	return 0;
}

static void run_until(struct fixture *f, const bool *flag)
{
	while (!*flag) {
		assert_true(sd_event_run(f->event, 5000000) > 0);
	}
}

static void test_done_runs_in_the_loop(void **state)
{
	struct fixture *f = *state;
	struct job j = { .loop = pthread_self() };

	assert_int_equal(worker_submit(f->pool, NULL, job_run, job_done, &j), 0);
	assert_false(j.done);
	run_until(f, &j.done);
	assert_true(j.ran);
	assert_false(pthread_equal(j.ran_in, j.loop));
}

static void test_one_key_one_after_the_other(void **state)
{
	struct fixture *f = *state;
	struct job jobs[JOBS];
	atomic_int running[2] = { 0, 0 };
	unsigned last[2] = { 0, 0 };

	memset(jobs, 0, sizeof(jobs));
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i].loop = pthread_self();
		jobs[i].running = &running[i % 2];
		jobs[i].last_done = &last[i % 2];
		jobs[i].number = i / 2 + 1;
		assert_int_equal(
			worker_submit(f->pool, i % 2 ? "odd" : "even", job_run, job_done, &jobs[i]),
			0);
	}
	for (unsigned i = 0; i < JOBS; i++) {
		run_until(f, &jobs[i].done);
		assert_false(jobs[i].overlapped);
		assert_int_equal(jobs[i].done_after, i / 2);
	}
}

static void test_a_busy_key_does_not_hold_up_others(void **state)
{
	struct fixture *f = *state;
	int gate[2];
	struct job stuck = { .loop = pthread_self(), .gate = gate };
	struct job behind = { .loop = pthread_self() }, other = { .loop = pthread_self() };

	assert_int_equal(pipe(gate), 0);
	assert_int_equal(worker_submit(f->pool, "k", job_run, job_done, &stuck), 0);
	assert_int_equal(worker_submit(f->pool, "k", job_run, job_done, &behind), 0);
	assert_int_equal(worker_submit(f->pool, "other", job_run, job_done, &other), 0);
	run_until(f, &other.done);
	assert_false(behind.ran);
	assert_int_equal(write(gate[1], "x", 1), 1);
	run_until(f, &behind.done);
	assert_true(stuck.done);
	close(gate[0]);
	close(gate[1]);
}

static void *let_go(void *arg)
{
	usleep(20000);
	assert_int_equal(write(*(int *)arg, "x", 1), 1);
	return NULL;
}

static void test_free_waits_and_gives_back_what_did_not_begin(void **state)
{
	struct worker_pool *pool;
	sd_event *event;
	int gate[2];
	struct job first = { .loop = pthread_self(), .gate = gate },
		   second = { .loop = pthread_self() };
	pthread_t helper;

	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(worker_pool_new(event, "test", 1, &pool), 0);
	assert_int_equal(pipe(gate), 0);
	assert_int_equal(worker_submit(pool, NULL, job_run, job_done, &first), 0);
	while (!first.ran) {
		usleep(1000);
	}
	assert_int_equal(worker_submit(pool, NULL, job_run, job_done, &second), 0);
	assert_int_equal(pthread_create(&helper, NULL, let_go, &gate[1]), 0);
	assert_null(worker_pool_free(pool));
	assert_true(first.ran && first.done);
	assert_true(!second.ran && second.done);
	pthread_join(helper, NULL);
	sd_event_unref(event);
	close(gate[0]);
	close(gate[1]);
}

static void test_waiting_jobs_are_bounded(void **state)
{
	struct worker_pool *pool;
	sd_event *event;
	int gate[2];
	struct job stuck = { .loop = pthread_self(), .gate = gate },
		   *many = calloc(1025, sizeof(*many));
	unsigned n = 0;
	pthread_t helper;

	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(worker_pool_new(event, "test", 1, &pool), 0);
	assert_int_equal(pipe(gate), 0);
	assert_int_equal(worker_submit(pool, NULL, job_run, job_done, &stuck), 0);
	while (!stuck.ran) {
		usleep(1000);
	}
	for (; n < 65; n++) {
		many[n].loop = pthread_self();
		if (worker_submit(pool, "one", job_run, job_done, &many[n]) == -EAGAIN) {
			break;
		}
	}
	assert_int_equal(n, 64); /* the others have room yet */
	while (n < 1025) {
		many[n].loop = pthread_self();
		if (worker_submit(pool, NULL, job_run, job_done, &many[n]) == -EAGAIN) {
			break;
		}
		n++;
	}
	assert_int_equal(n, 1024);
	assert_int_equal(pthread_create(&helper, NULL, let_go, &gate[1]), 0);
	worker_pool_free(pool);
	for (unsigned i = 0; i < n; i++) {
		assert_true(many[i].done);
	}
	pthread_join(helper, NULL);
	sd_event_unref(event);
	free(many);
	close(gate[0]);
	close(gate[1]);
}

struct post {
	struct fixture *f;
	struct job job;
};

static void *post_from_thread(void *arg)
{
	struct post *p = arg;

	assert_int_equal(worker_post(p->f->pool, job_done, &p->job), 0);
	return NULL;
}

static void test_post_from_any_thread(void **state)
{
	struct post p = { .f = *state, .job = { .loop = pthread_self() } };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, post_from_thread, &p), 0);
	run_until(p.f, &p.job.done);
	pthread_join(thread, NULL);
}

static void test_bad_sizes(void **state)
{
	struct fixture *f = *state;
	struct worker_pool *pool;

	assert_int_equal(worker_pool_new(f->event, "none", 0, &pool), -EINVAL);
	assert_int_equal(worker_pool_new(f->event, "many", 1000, &pool), -EINVAL);
	assert_null(worker_pool_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_done_runs_in_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_key_one_after_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_busy_key_does_not_hold_up_others, setup,
						teardown),
		cmocka_unit_test(test_free_waits_and_gives_back_what_did_not_begin),
		cmocka_unit_test(test_waiting_jobs_are_bounded),
		cmocka_unit_test_setup_teardown(test_post_from_any_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_sizes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
