/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive list, and the macros of base that have behaviour. */
#include <stdlib.h>

#include "cleanup.h"
#include "list.h"
#include "test.h"

struct item {
	int value;
	struct list entry;
};

static void keeps_order_and_lets_go(void **state)
{
	struct item items[5], *i, *tmp;
	struct list head = LIST_INIT(head);
	int expected = 0;

	assert_true(list_empty(&head));
	for (int k = 0; k < 5; k++) {
		items[k].value = k;
		list_add_tail(&head, &items[k].entry);
	}
	list_for_each (i, &head, entry) {
		assert_int_equal(i->value, expected++);
	}
	assert_int_equal(expected, 5);
	list_for_each_safe (i, tmp, &head, entry) {
		if (i->value % 2 == 0) {
			list_del(&i->entry);
		}
	}
	expected = 1;
	list_for_each (i, &head, entry) {
		assert_int_equal(i->value, expected);
		expected += 2;
	}
	list_del(&items[0].entry); /* in no list any more: fine */
	list_del(&items[1].entry);
	list_del(&items[3].entry);
	assert_true(list_empty(&head));
}

static void taking_leaves_nothing(void **state)
{
	_cleanup_free_ char *from = malloc(1);
	_cleanup_close_ int fd = dup(1);
	char *p = from;
	int n = fd;

	assert_ptr_equal(TAKE_PTR(from), p);
	assert_null(from);
	assert_int_equal(TAKE_FD(fd), n);
	assert_int_equal(fd, -1);
	free(p);
	assert_int_equal(close_fd(n), -1);
	assert_int_equal(close_fd(-1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_and_lets_go),
		cmocka_unit_test(taking_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
