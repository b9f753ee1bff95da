/* SPDX-License-Identifier: Apache-2.0 */
/* No memory, at each place in turn: domain XML, and the images' store. libxml2's and GnuTLS's
 * allocations are theirs. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cleanup.h"
#include "domain_xml.h"
#include "image.h"
#include "test.h"

static int write_dvm(void)
{
	static const struct dvm_spec spec = {
		.session = "s-1",
		.image = "0123",
		.owner = "h-1",
		.memory_mib = 256,
		.vcpus = 1,
		.kernel = "/kernel",
		.initrd = "/initrd",
		.cmdline = "quiet",
		.layers = { { "root", "/root" } },
		.n_layers = 1,
		.log_path = "/log",
	};
	_cleanup_free_ char *xml = NULL;

	return domain_xml_dvm(&spec, false, &xml);
}

static int read_domain(void)
{
	static const char xml[] =
		"<domain><name>x</name><memory>262144</memory><vcpu>1</vcpu><devices>"
		"<disk type='file'><source file='/a'/><target "
		"dev='vda'/><serial>t0-vda</serial></disk>"
		"<disk type='block'><source dev='/b'/><target dev='vdb'/></disk>"
		"<serial type='tcp'><source mode='bind' host='::1' service='1'/><log "
		"file='/c'/></serial>"
		"<channel><source path='/t'/><target name='org.dvm.tunnel.0'/></channel>"
		"</devices></domain>";
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	_cleanup_(console_place_fini) struct console_place place = { 0 };
	_cleanup_free_ char *path = NULL, *disk = NULL;
	bool connected;
	int r = domain_xml_read(xml, &info, &place);

	if (r == 0) {
		r = domain_xml_read_tunnel(xml, &path, &connected);
	}
	if (r == 0) {
		r = domain_xml_read_disk(xml, "t0-vda", &disk);
	}
	return r;
}

static int find_image(void)
{
	struct image_store *store;
	struct fault fault = { 0 };
	_cleanup_(image_fini) struct image image = { 0 };
	int r = image_store_new("/nowhere", &store);

	if (r < 0) {
		return r;
	}
	r = image_find(store, "default", &image, &fault);
	image_store_free(store);
	return fault.code == FAULT_IMAGE_MISSING ? 0 : r;
}

static void each_allocation_fails(void **state)
{
	/* a name that cannot be looked up for lack of memory is one that is not there */
	assert_true(fail_each(write_dvm, false) > 0);
	assert_true(fail_each(read_domain, false) > 5);
	assert_true(fail_each(find_image, true) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
