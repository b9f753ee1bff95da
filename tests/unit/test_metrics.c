/* SPDX-License-Identifier: Apache-2.0 */
/* Figures and their exposition text. */
#include "metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char *text_of(const struct metrics *m, struct buf *b)
{
	buf_init(b, 1024 * 1024);
	assert_int_equal(metrics_write(m, b), 0);
	assert_int_equal(buf_append(b, "", 1), 0);
	return (char *)buf_data(b);
}

static void test_kinds(void **state)
{
	struct metrics *m;
	struct buf b;
	char *text;

	assert_int_equal(metrics_new(&m), 0);
	metrics_count(m, METRIC_POWER, "off");
	metrics_count(m, METRIC_POWER, "off");
	metrics_add(m, METRIC_SESSIONS, "ready", 1);
	metrics_add(m, METRIC_SESSIONS, "ready", -1);
	metrics_set(m, METRIC_HOST_UP, NULL, 1);
	metrics_observe(m, METRIC_READY_SECONDS, NULL, 3 * USEC_PER_SEC);
	metrics_observe(m, METRIC_READY_SECONDS, NULL, 300 * USEC_PER_SEC);
	text = text_of(m, &b);
	assert_non_null(strstr(text, "# TYPE dvm_vm_power_total counter\n"
				     "dvm_vm_power_total{verb=\"off\"} 2\n"));
	assert_non_null(strstr(text, "dvm_sessions{state=\"ready\"} 0\n"));
	assert_non_null(strstr(text, "dvm_host_up 1\n"));
	assert_non_null(strstr(text, "dvm_session_ready_seconds_bucket{le=\"2.5\"} 0\n"
				     "dvm_session_ready_seconds_bucket{le=\"5\"} 1\n"));
	assert_non_null(strstr(text, "dvm_session_ready_seconds_bucket{le=\"+Inf\"} 2\n"
				     "dvm_session_ready_seconds_sum 303.000000\n"
				     "dvm_session_ready_seconds_count 2\n"));
	buf_fini(&b);
	metrics_free(m);
}

/* However many labels somebody invents, there is an end to them. */
static void test_bound(void **state)
{
	struct metrics *m;
	struct buf b;
	size_t lines = 0;

	assert_int_equal(metrics_new(&m), 0);
	for (unsigned i = 0; i < 2 * METRICS_SERIES_MAX; i++) {
		char label[16];

		snprintf(label, sizeof(label), "m%u", i);
		metrics_count(m, METRIC_FAULTS, label);
	}
	for (char *p = text_of(m, &b); (p = strstr(p, "dvm_session_faults_total{")); p++) {
		lines++;
	}
	assert_int_equal(lines, METRICS_SERIES_MAX);
	buf_fini(&b);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
