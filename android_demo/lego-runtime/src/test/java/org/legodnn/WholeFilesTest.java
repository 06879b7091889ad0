package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;

import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Stores of whole files, as `legodnn pack` writes them: opened where all is float32, refused by name where not. */
public final class WholeFilesTest {
    @Rule
    public final TemporaryFolder folder = new TemporaryFolder();

    /** A chain's store, with a text in its manifest replaced. */
    private Store changed(String text, String by) throws IOException {
        File place = folder.newFolder();
        TestStores.chain(place, "chain");
        File manifest = new File(place, "manifest.json");
        String content = new String(Files.readAllBytes(manifest.toPath()), "UTF-8").replaceAll("\\s+", "");
        assertTrue(content, content.contains(text));
        Vectors.write(manifest, content.replace(text, by).getBytes("UTF-8"));
        return Store.open(place);
    }

    @Test
    public void integersAreRefusedByTheTensorsName() {
        for (String[] each : new String[][] {{"x", "6", "uint8"}, {"y", "2", "int64"}}) {
            String tensor = "{\"name\":\"" + each[0] + "\",\"shape\":[" + each[1] + "]";
            StoreException caught = assertThrows(StoreException.class,
                    () -> changed(tensor + "}", tensor + ",\"dtype\":\"" + each[2] + "\"}"));
            assertTrue(caught.getMessage(), caught.getMessage().contains("'" + each[0] + "' is of " + each[2]));
            assertTrue(caught.getMessage(), caught.getMessage().contains("float32 inputs and outputs"));
        }
    }

    @Test
    public void theFirstOptionIsTheOriginalInAnyPrecision() throws IOException {
        Store store = changed("\"name\":\"s0\",\"sparsity\":0.0",
                "\"name\":\"s0\",\"sparsity\":0.0,\"precision\":\"int8\"");
        assertEquals("s0", store.manifest().segments.get(0).original().name);
    }

    @Test
    public void whatIsNoPictureIsNotMadeOfOne() {
        double[] none = {};
        int[] pixels = {0, 255};
        InputSpec stretched = new InputSpec("x", new int[] {1, 2, 1}, "stretch", 0, 0, 1, none, none);
        assertArrayEquals(new float[] {0, 1}, stretched.fromPicture(pixels, 1, 2), 0);
        assertThrows(InputException.class, () -> stretched.fromPicture(pixels, 2, 2));
        assertThrows(InputException.class, () -> stretched.fromArgb(pixels, 2, 2));
        InputSpec plain = new InputSpec("x", new int[] {1, 2, 1}, "none", 0, 0, 1, none, none);
        assertThrows(InputException.class, () -> plain.fromPicture(pixels, 1, 2));
        assertThrows(InputException.class, () -> plain.fromArgb(pixels, 1, 2));
        assertArrayEquals(new float[] {0, 1}, plain.fromPixels(pixels), 0);
    }
}
