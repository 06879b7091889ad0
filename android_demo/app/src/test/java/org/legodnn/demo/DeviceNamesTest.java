package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;

import android.os.Build;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.legodnn.Device;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.annotation.Config;
import org.robolectric.util.ReflectionHelpers;

/** The names by which a phone's profiles are told from another's: those of Android's own Build. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34)
public class DeviceNamesTest {
    private static final String MACHINE = "java.vm.name";

    private final String machine = System.getProperty(MACHINE);

    @Before
    public void onAPhone() {
        System.setProperty(MACHINE, "Dalvik"); // Android's virtual machine is still called that
        build("HARDWARE", "board7");
        build("MODEL", "Phone 7");
    }

    @After
    public void restored() {
        System.setProperty(MACHINE, machine);
    }

    private static void build(String field, String value) {
        ReflectionHelpers.setStaticField(Build.class, field, value);
    }

    /** Without what the kernel says of the cores, which follows where this runs on ARM. */
    private static String names() {
        return Device.fingerprint(new PlanOnlyExecutor()).cpu().split(", ")[0];
    }

    @Test
    public void theSystemOnChipNamesIt() {
        build("SOC_MANUFACTURER", "Maker");
        build("SOC_MODEL", "SM1");
        assertEquals("Maker SM1", names());
    }

    @Test
    public void whereThatIsUnknownTheBoardAndTheModelDo() {
        build("SOC_MANUFACTURER", Build.UNKNOWN);
        build("SOC_MODEL", "");
        assertEquals("board7 Phone 7", names());
        build("SOC_MODEL", "SM1");
        assertEquals("SM1", names());
    }

    @Test
    public void elsewhereTheyAreNotAsked() {
        restored();
        build("SOC_MODEL", "SM1");
        assertFalse(names(), names().contains("SM1") || names().contains("Phone 7"));
    }
}
