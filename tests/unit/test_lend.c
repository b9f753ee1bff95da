/* SPDX-License-Identifier: Apache-2.0 */
/* Which files change hands with a disk. Changing an owner needs root: see tests/integration. */
#include "lend.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"

static char folder[] = "/tmp/dvm-test-lend-XXXXXX";

static void file_put(const char *name, const void *p, size_t len, mode_t mode)
{
	_cleanup_free_ char *path = strf("%s/%s", folder, name);

	assert_int_equal(file_write_atomic(path, p, len, mode), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* A version 2 header that names its backing file and the format of that. */
static void qcow2_put(const char *name, const char *backing, const char *format)
{
	uint8_t head[512] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 2 };
	uint32_t len = htobe32((uint32_t)strlen(backing));

	head[14] = 1; /* the name stands at 256 */
	memcpy(head + 16, &len, sizeof(len));
	memcpy(head + 72, "\xe2\x79\x2a\xca\0\0\0", 7);
	head[79] = (uint8_t)strlen(format);
	memcpy(head + 80, format, strlen(format));
	memcpy(head + 256, backing, strlen(backing));
	file_put(name, head, sizeof(head), 0600);
}

/* Names of the files in the plan, each with a blank behind. */
static char *planned(const char *name, const char *format, bool readonly, struct fault *fault)
{
	struct domain_disk disk = { .dev = "vda", .backend = DISK_BACKEND_FILE };
	json_auto_t *plan = NULL;
	const json_t *entry;
	char *names = strdup("");
	size_t i;

	disk.source = strf("%s/%s", folder, name);
	strcpy(disk.format, format);
	*fault = (struct fault){ 0 };
	if (lend_plan(&disk, readonly, &plan, fault) < 0) {
		plan = NULL;
	}
	json_array_foreach(plan, i, entry)
	{
		const char *path = json_string_value(json_object_get(entry, "path"));
		char *more = strf("%s%s ", names, strrchr(path, '/') + 1);

		assert_int_equal(json_integer_value(json_object_get(entry, "uid")), getuid());
		free(names);
		names = more;
	}
	free(disk.source);
	return names;
}

static void plan_is(const char *name, const char *format, bool readonly, const char *expected)
{
	struct fault fault;
	_cleanup_free_ char *names = planned(name, format, readonly, &fault);

	assert_int_equal(fault.code, FAULT_NONE);
	assert_string_equal(names, expected);
}

static void plan_fails(const char *name, const char *format)
{
	struct fault fault;

	free(planned(name, format, true, &fault));
	assert_int_equal(fault.code, FAULT_HYPERVISOR_FAILED);
}

static void chains(void **state)
{
	file_put("closed", "x", 1, 0600);
	file_put("open", "x", 1, 0644);
	plan_is("closed", "raw", false, "closed ");
	plan_is("closed", "raw", true, "closed ");
	plan_is("open", "raw", false, "open ");
	plan_is("open", "raw", true, "");
	qcow2_put("top", "closed", "raw");
	plan_is("top", "qcow2", false, "top closed ");
	qcow2_put("top", "open", "raw");
	plan_is("top", "qcow2", false, "top ");
	qcow2_put("middle", "closed", "raw");
	qcow2_put("top", "middle", "qcow2");
	plan_is("top", "qcow2", true, "top middle closed ");
}

static void a_guests_bytes_are_not_followed(void **state)
{
	/* raw by definition, and by what the image on top says */
	qcow2_put("evil", "closed", "raw");
	plan_is("evil", "raw", false, "evil ");
	qcow2_put("top", "evil", "raw");
	plan_is("top", "qcow2", false, "top evil ");
}

static void what_cannot_be_lent(void **state)
{
	plan_fails("nothing", "raw");
	plan_fails(".", "raw");
	plan_fails("open", "qcow2");
	qcow2_put("top", "nbd://host/x", "raw");
	plan_fails("top", "qcow2");
	qcow2_put("loop", "loop", "qcow2");
	plan_fails("loop", "qcow2");
}

static int set_up(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	return dir_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains),
		cmocka_unit_test(a_guests_bytes_are_not_followed),
		cmocka_unit_test(what_cannot_be_lent),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
