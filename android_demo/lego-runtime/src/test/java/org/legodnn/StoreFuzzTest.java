package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonObject;

/**
 * Damaged manifests and profiles: each reads as what it says, or is refused as it should be; nothing else comes of it.
 */
public class StoreFuzzTest {
    private static final String[] TOKENS = {
        "", "{", "}", "[", "]", ",", ":", "\"", "\\", "0", "-1", "1.5", "1e400", "-0", "null", "true", "NaN", "\\u0000",
        "\\ud800", " ", "\n", "\t", "\"name\": \"x\",", "99999999999999999999", "é", "\u0001", "..", "/"
    };
    private static final Object[] VALUES = {
        null, true, 0, -1, 1, 0.5, Long.MAX_VALUE, "", "x", "float32", "fixed", new ArrayList<Object>(),
        new JsonObject()
    };

    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    private File folder;
    private byte[] manifest;
    private Store whole;

    @Before
    public void makeStore() throws IOException {
        folder = temporary.newFolder("store");
        whole = TestStores.graph(folder, "graph");
        manifest = Files.readAllBytes(new File(folder, "manifest.json").toPath());
    }

    /** Bytes changed, removed, added, moved or doubled at random places. */
    private static byte[] damaged(byte[] content, Random random) {
        byte[] now = content;
        int changes = 1 + random.nextInt(3);
        for (int i = 0; i < changes; i++) {
            int at = random.nextInt(now.length + 1);
            int end = Math.min(now.length, at + random.nextInt(random.nextInt(4) == 0 ? 200 : 4));
            ByteArrayOutputStream next = new ByteArrayOutputStream();
            next.write(now, 0, at);
            switch (random.nextInt(5)) {
                case 0: // a byte
                    next.write(random.nextInt(256));
                    break;
                case 1: // a token
                    byte[] token = TOKENS[random.nextInt(TOKENS.length)].getBytes(StandardCharsets.UTF_8);
                    next.write(token, 0, token.length);
                    break;
                case 2: // the same again
                    next.write(now, at, end - at);
                    end = at;
                    break;
                case 3: // something from elsewhere
                    int from = random.nextInt(now.length);
                    next.write(now, from, Math.min(now.length - from, random.nextInt(60)));
                    break;
                default: // less
            }
            next.write(now, end, now.length - end);
            now = next.toByteArray();
            if (now.length == 0) {
                return now;
            }
        }
        return now;
    }

    /** A copy of a document in which one value at a random place is another one, gone, or there twice. */
    private static Object changed(Object value, Random random, int[] countdown) {
        if (countdown[0]-- == 0) {
            return VALUES[random.nextInt(VALUES.length)];
        }
        if (value instanceof JsonObject) {
            JsonObject copy = new JsonObject();
            for (String key : ((JsonObject) value).keys()) {
                if (countdown[0]-- == 0) {
                    if (random.nextBoolean()) {
                        continue; // gone
                    }
                    copy.put(key + "x", 1);
                }
                copy.put(key, changed(((JsonObject) value).get(key), random, countdown));
            }
            return copy;
        }
        if (value instanceof List) {
            List<Object> copy = new ArrayList<>();
            for (Object element : (List<?>) value) {
                if (countdown[0]-- == 0) {
                    copy.add(element);
                }
                copy.add(changed(element, random, countdown));
            }
            return copy;
        }
        return value;
    }

    @Test
    public void aDamagedManifestReadsEqualOrIsRefused() throws IOException {
        int refused = 0;
        int read = 0;
        Object document = Json.parse(new String(manifest, StandardCharsets.UTF_8));
        for (int seed = 0; seed < 4000; seed++) {
            Random random = new Random(seed);
            byte[] content = damaged(manifest, random);
            if (seed % 3 == 0) {
                Object other = changed(document, random, new int[] {random.nextInt(340)});
                content = Json.write(other).getBytes(StandardCharsets.UTF_8);
            }
            Files.write(new File(folder, "manifest.json").toPath(), content);
            try {
                Store store = Store.open(folder);
                read++;
                assertEquals("seed " + seed, Documents.hex(Documents.sha256().digest(content)), store.id());
                checkReadsEqual("seed " + seed, content, store);
            } catch (StoreException e) {
                refused++;
                assertTrue(e.getMessage().contains("; build the store again"));
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ": " + e, e);
            }
        }
        assertTrue(refused + " refused, " + read + " read", refused > 2000 && read > 200);
    }

    /** What was read is what the text says, by a reading that shares only the parser. */
    private static void checkReadsEqual(String where, byte[] content, Store store) {
        JsonObject said = (JsonObject) Json.parse(new String(content, StandardCharsets.UTF_8));
        StoreManifest read = store.manifest();
        assertEquals(where, Vectors.object(said, "model").get("name"), read.name);
        assertEquals(where, said.get("outputs"), read.outputs);
        List<JsonObject> segments = Vectors.list(said, "segments");
        assertEquals(where, segments.size(), read.segments.size());
        for (int s = 0; s < segments.size(); s++) {
            Segment segment = read.segments.get(s);
            assertEquals(where, segments.get(s).get("name"), segment.name);
            assertEquals(where, segments.get(s).get("kind"), segment.block ? "block" : "fixed");
            assertEquals(where, segments.get(s).get("inputs"), segment.inputs);
            assertEquals(where, segments.get(s).get("outputs"), segment.outputs);
            assertEquals(where, Vectors.interaction(Vectors.list(segments.get(s), "interaction")), segment.interaction);
            List<JsonObject> options = Vectors.list(segments.get(s), "options");
            assertEquals(where, options.size(), segment.options.size());
            for (int o = 0; o < options.size(); o++) {
                Option option = segment.options.get(o);
                assertEquals(where, options.get(o).get("name"), option.name);
                assertEquals(where, options.get(o).get("file"), option.file);
                assertEquals(where, options.get(o).get("sha256"), option.sha256);
                assertEquals(where, String.valueOf(options.get(o).get("bytes")), String.valueOf(option.bytes));
                double loss = options.get(o).has("loss") ? Vectors.number(options.get(o).get("loss")) : 0;
                assertEquals(where, loss, option.loss, 0);
            }
        }
        Map<String, String> shapes = new LinkedHashMap<>();
        for (String key : new String[] {"inputs", "tensors"}) {
            for (JsonObject spec : Vectors.<JsonObject>list(said, key)) {
                shapes.put((String) spec.get("name"), spec.get("name") + String.valueOf(spec.get("shape")));
            }
        }
        for (TensorSpec spec : read.specs.values()) {
            if (!spec.toString().contains(String.valueOf(Integer.MAX_VALUE))) { // read so where it is out of range
                assertEquals(where, shapes.get(spec.name), spec.toString());
            }
        }
    }

    @Test
    public void aFixedSegmentMayNotInteract() throws IOException {
        JsonObject document = (JsonObject) Json.parse(new String(manifest, StandardCharsets.UTF_8));
        JsonObject head = Vectors.<JsonObject>list(document, "segments").get(3);
        head.put("interaction", Collections.nCopies(3, Collections.singletonList(0)));
        Files.write(new File(folder, "manifest.json").toPath(), Json.write(document).getBytes(StandardCharsets.UTF_8));
        try {
            Store.open(folder);
            fail("it was taken");
        } catch (StoreException e) {
            assertTrue(e.getMessage().contains("the interaction of segment head must have a row"));
        }
    }

    @Test
    public void aDamagedFileIsRefused() throws IOException {
        for (Segment segment : whole.manifest().segments) {
            for (Option option : segment.options) {
                File file = new File(folder, option.file);
                byte[] content = Files.readAllBytes(file.toPath());
                for (byte[] other : Arrays.asList(new byte[0], Arrays.copyOf(content, content.length + 1),
                        Arrays.copyOf(content, content.length - 1), damagedByte(content))) {
                    Files.write(file.toPath(), other);
                    refused();
                }
                Files.delete(file.toPath());
                refused();
                Files.createDirectory(file.toPath());
                refused();
                Files.delete(file.toPath());
                Files.write(file.toPath(), content);
            }
        }
        Store.open(folder);
    }

    private static byte[] damagedByte(byte[] content) {
        byte[] other = content.clone();
        other[other.length / 2] ^= 1;
        return other;
    }

    private void refused() {
        try {
            Store.open(folder);
            fail("a damaged file was taken");
        } catch (StoreException e) {
            assertTrue(e.getMessage().contains("tflite"));
        }
    }

    @Test
    public void whatIsNoStoreIsRefused() throws IOException {
        for (File no : Arrays.asList(new File(folder, "nothing"), new File(folder, "manifest.json"),
                temporary.newFolder("empty"))) {
            try {
                Store.open(no);
                fail(no + " was taken");
            } catch (StoreException e) {
                assertTrue(e.getMessage().startsWith(no.toString()));
            }
        }
    }

    @Test
    public void aDamagedProfileReadsEqualOrIsRefused() {
        byte[] profile = TestStores.profile(whole, new AffineExecutor()).toJson().getBytes(StandardCharsets.UTF_8);
        int refused = 0;
        int read = 0;
        for (int seed = 0; seed < 6000; seed++) {
            byte[] content = damaged(profile, new Random(seed));
            String text = new String(content, StandardCharsets.UTF_8);
            try {
                Profile found = Profile.parse(text);
                read++;
                assertEquals(found.toJson(), Profile.parse(found.toJson()).toJson());
                try {
                    found.checkStore(whole);
                    ModelTable.fromStore(whole, found);
                } catch (ProfileException | WorkloadException e) {
                    assertTrue(e.getMessage().length() > 20);
                }
            } catch (ProfileException e) {
                refused++;
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ": " + e, e);
            }
        }
        assertTrue(refused + " refused, " + read + " read", refused > 3000 && read > 100);
    }

    @Test
    public void anyTextIsJsonOrIsRefused() {
        for (int seed = 0; seed < 20000; seed++) {
            Random random = new Random(seed);
            StringBuilder text = new StringBuilder();
            int tokens = random.nextInt(12);
            for (int i = 0; i < tokens; i++) {
                text.append(TOKENS[random.nextInt(TOKENS.length)]);
            }
            try {
                Object value = Json.parse(text.toString());
                assertEquals(text.toString(), value, Json.parse(Json.write(value)));
            } catch (JsonException e) {
                assertTrue(e.getMessage().contains("line "));
            }
        }
        assertEquals(Collections.emptyList(), Json.parse("[]"));
    }
}
