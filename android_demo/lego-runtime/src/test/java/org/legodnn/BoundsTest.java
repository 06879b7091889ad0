package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.util.Collections;
import java.util.List;

import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;

/** Documents that are too large are refused before they take any room. */
public final class BoundsTest {
    @Rule
    public final TemporaryFolder folder = new TemporaryFolder();

    private static String list(int count, String element) {
        return "[" + String.join(",", Collections.nCopies(count, element)) + "]";
    }

    @Test
    public void listsInADocumentAreCounted() {
        assertEquals(99_999, ((List<?>) Json.parse(list(99_999, "[]"))).size());
        JsonException caught = assertThrows(JsonException.class, () -> Json.parse(list(100_000, "[]")));
        assertTrue(caught.getMessage(), caught.getMessage().contains("more than 100000 lists and objects"));
    }

    @Test
    public void valuesInADocumentAreCounted() {
        assertEquals(500_000, ((List<?>) Json.parse(list(500_000, "1"))).size());
        JsonException caught = assertThrows(JsonException.class, () -> Json.parse(list(500_001, "1")));
        assertTrue(caught.getMessage(), caught.getMessage().contains("more than 500000 values"));
    }

    @Test
    public void aProfileOfMoreThanFourMebibytesIsNotRead() throws IOException {
        File file = folder.newFile();
        try (RandomAccessFile large = new RandomAccessFile(file, "rw")) {
            large.setLength((4 << 20) + 1);
        }
        ProfileException caught = assertThrows(ProfileException.class, () -> Profile.load(file));
        assertTrue(caught.getMessage(), caught.getMessage().contains("at most 4194304 are read"));
    }

    @Test
    public void aFolderIsNoProfile() {
        assertThrows(ProfileException.class, () -> Profile.load(folder.getRoot()));
    }
}
