package org.legodnn.litert2;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

import com.google.ai.edge.litert.CompiledModel;

import org.junit.After;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.BlockExecutor;
import org.legodnn.BlockRows;
import org.legodnn.Budget;
import org.legodnn.LegoModel;
import org.legodnn.LegoRuntime;
import org.legodnn.Option;
import org.legodnn.OptionRow;
import org.legodnn.Piece;
import org.legodnn.Profile;
import org.legodnn.Profiler;
import org.legodnn.ProfilerOptions;
import org.legodnn.Segment;
import org.legodnn.Store;
import org.legodnn.StoreException;
import org.legodnn.SwitchCharge;
import org.legodnn.TensorSpec;
import org.legodnn.TfLiteExecutor;

/** What the executor does with files, models and buffers, and that it computes what TensorFlow Lite does. */
public class CompiledModelExecutorTest {
    @Rule
    public final TemporaryFolder temporary = new TemporaryFolder();

    /** The first of the app's stores. */
    private final Store store = Store.open(new File(System.getProperty("legodnn.assets"), "stores").listFiles()[0]);
    private final List<Segment> segments = store.manifest().segments();
    private File folder;
    private File linked;
    private File packed;
    private File part;

    @Before
    public void names() {
        CompiledModel.packed.clear();
        folder = new File(temporary.getRoot(), "linked");
        linked = new File(folder, store.id() + "/linked.tflite");
        packed = new File(folder, store.id() + "/packed-" + CompiledModelExecutor.LITERT);
        part = new File(packed.getPath() + ".part");
    }

    @After
    public void allIsClosed() {
        assertEquals(0, CompiledModel.opened.get());
    }

    private TensorSpec[] specs(List<String> names) {
        List<TensorSpec> specs = new ArrayList<>();
        for (String name : names) {
            specs.add(store.manifest().specs().get(name));
        }
        return specs.toArray(new TensorSpec[0]);
    }

    private Piece load(BlockExecutor executor, Segment segment, Option option, int threads) {
        return executor.load(store.verifiedFile(option), threads, specs(segment.inputs()), specs(segment.outputs()));
    }

    private Piece loadFirst(BlockExecutor executor, int threads) {
        return load(executor, segments.get(0), segments.get(0).original(), threads);
    }

    /** What an option computes of random numbers. */
    private float[] run(BlockExecutor executor, Segment segment, Option option, int threads) {
        Random random = new Random(0);
        ByteBuffer[] in = buffers(segment.inputs());
        for (ByteBuffer buffer : in) {
            while (buffer.hasRemaining()) {
                buffer.putFloat(random.nextFloat());
            }
        }
        ByteBuffer[] out = buffers(segment.outputs());
        Piece piece = load(executor, segment, option, threads);
        piece.run(in, out);
        piece.run(in, out);
        piece.close();
        out[0].clear();
        float[] values = new float[out[0].capacity() / 4];
        out[0].asFloatBuffer().get(values);
        return values;
    }

    private ByteBuffer[] buffers(List<String> names) {
        List<ByteBuffer> buffers = new ArrayList<>();
        for (TensorSpec spec : specs(names)) {
            buffers.add(ByteBuffer.allocateDirect(spec.bytes()).order(ByteOrder.nativeOrder()));
        }
        return buffers.toArray(new ByteBuffer[0]);
    }

    @Test
    public void everyOptionComputesWhatTensorFlowLiteDoes() throws Exception {
        BlockExecutor executor = new CompiledModelExecutor(folder, store);
        int compared = 0;
        for (Segment segment : segments) {
            for (Option option : segment.options()) {
                float[] expected = run(new TfLiteExecutor(), segment, option, 1);
                String name = segment.name() + " " + option.name();
                assertArrayEquals(name, expected, run(executor, segment, option, 1 + compared++ % 2), 1e-3f);
            }
        }
        assertTrue(compared > segments.size());
        assertEquals("weights are packed once", 1, Collections.frequency(CompiledModel.packed, part.getPath()));
        assertEquals(compared, CompiledModel.packed.size());
    }

    @Test
    public void optionsShareOneModelForEachThreadCountAndItGoesWithTheLast() throws Exception {
        BlockExecutor executor = new CompiledModelExecutor(folder, store);
        assertEquals("nothing is compiled before an option is loaded", 0, CompiledModel.packed.size());
        List<Piece> pieces = new ArrayList<>();
        for (Segment segment : segments) {
            pieces.add(load(executor, segment, segment.original(), 1));
        }
        assertEquals(1, CompiledModel.packed.size());
        pieces.add(loadFirst(executor, 2));
        assertEquals(2, CompiledModel.packed.size());
        for (Piece piece : pieces) {
            piece.close();
        }
        loadFirst(executor, 1).close();
        assertEquals(3, CompiledModel.packed.size());
    }

    @Test
    public void aStoreIsProfiled() throws Exception {
        ProfilerOptions options = ProfilerOptions.DEFAULTS.withRounds(2).withWeighings(1).withThreads(1, 2);
        Profile profile = Profiler.profile(store, new CompiledModelExecutor(folder, store), options, null);
        assertEquals("litert-compiled " + CompiledModelExecutor.LITERT, profile.device().executor());
    }

    private LegoRuntime open(BlockExecutor executor) {
        File profile = new File(System.getProperty("legodnn.assets"), "profiles/" + store.name() + ".profile.json");
        return LegoRuntime.builder().executor(executor).switchCharge(SwitchCharge.NONE)
                .addModel(LegoModel.of(store, Profile.load(profile)).onAnyDevice()).build();
    }

    @Test
    public void aRuntimeSwitchesAndComputesWhatOneOfTensorFlowLiteDoes() throws Exception {
        float[] input = new float[store.manifest().inputs().get(0).elements()];
        Arrays.fill(input, 0.5f);
        int switched = 0;
        try (LegoRuntime runtime = open(new CompiledModelExecutor(folder, store));
                LegoRuntime lite = open(new TfLiteExecutor())) {
            long all = runtime.plan().memoryBytes();
            long least = 0;
            for (BlockRows segment : runtime.scheduler().tables().get(0).segments()) {
                least += segment.options().stream().mapToLong(OptionRow::memoryBytes).min().getAsLong();
            }
            for (double share : new double[] {1, 0.8, 0.5, 0.2, 0, 1}) {
                Budget budget = Budget.none().withMemoryBytes(least + (long) (share * (all - least)));
                switched += runtime.setBudget(budget).loaded().isEmpty() ? 0 : 1;
                lite.setPlan(runtime.plan());
                // Kernels of the two round int8 differently.
                assertArrayEquals(lite.infer(store.name(), input), runtime.infer(store.name(), input), 0.02f);
            }
        }
        assertTrue("switches: " + switched, switched >= 2);
    }

    @Test
    public void whatIsThereIsUsedAgainAndWhatIsMissingOrOldIsMadeAnewOrRemoved() throws Exception {
        File old = new File(folder, String.join("", Collections.nCopies(64, "a")));
        File other = new File(folder, "someone's");
        assertTrue(old.mkdirs() && other.mkdirs() && new File(old, "linked.tflite").createNewFile());
        new CompiledModelExecutor(folder, store);
        assertFalse("of a store that is not named", old.exists());
        assertTrue("nothing of this executor's", other.exists());
        byte[] content = Files.readAllBytes(linked.toPath());
        assertTrue(linked.setLastModified(1_000_000_000_000L));

        BlockExecutor executor = new CompiledModelExecutor(folder, store);
        assertEquals(1_000_000_000_000L, linked.lastModified());
        assertTrue("Android clears caches", linked.delete());
        loadFirst(executor, 1).close();
        assertArrayEquals(content, Files.readAllBytes(linked.toPath()));
        assertNotEquals(1_000_000_000_000L, linked.lastModified());
    }

    @Test
    public void whatIsOldGoesBeforeTheStoreIsLinkedAndNothingHalfWrittenStays() throws Exception {
        File old = new File(folder, String.join("", Collections.nCopies(64, "a")));
        assertTrue(old.mkdirs() && new File(old, "linked.tflite").createNewFile());
        assertTrue("it cannot be replaced by a file", new File(linked, "something").mkdirs());
        StoreException e = assertThrows(StoreException.class, () -> new CompiledModelExecutor(folder, store));
        assertTrue(e.getMessage(), e.getMessage().contains("is the storage full?"));
        assertFalse(old.exists());
        assertArrayEquals(new String[] {"linked.tflite"}, linked.getParentFile().list());
    }

    @Test
    public void packedWeightsOfAnotherVersionOfLiteRtAreRemoved() throws Exception {
        loadFirst(new CompiledModelExecutor(folder, store), 1).close();
        byte[] whole = Files.readAllBytes(packed.toPath());
        File older = new File(packed.getParentFile(), "packed-1.0.0");
        assertTrue(older.createNewFile() && part.createNewFile() && new File(linked + ".part").createNewFile());
        new CompiledModelExecutor(folder, store);
        assertArrayEquals(whole, Files.readAllBytes(packed.toPath()));
        String[] left = packed.getParentFile().list();
        Arrays.sort(left);
        assertArrayEquals(new String[] {"linked.tflite", packed.getName()}, left);
    }

    @Test
    public void packedWeightsThatWereCutShortAreNotRead() throws Exception {
        BlockExecutor executor = new CompiledModelExecutor(folder, store);
        loadFirst(executor, 1).close();
        byte[] whole = Files.readAllBytes(packed.toPath());
        assertTrue(packed.delete());
        Files.write(part.toPath(), Arrays.copyOf(whole, whole.length / 2));
        float[] found = run(executor, segments.get(0), segments.get(0).original(), 1);
        assertArrayEquals(run(new TfLiteExecutor(), segments.get(0), segments.get(0).original(), 1), found, 1e-3f);
        assertFalse(part.exists());
        assertEquals(whole.length, packed.length());
    }

    @Test
    public void whatCannotBeLoadedIsTold() throws Exception {
        BlockExecutor executor = new CompiledModelExecutor(folder, store);
        Segment first = segments.get(0);
        File strange = temporary.newFile("strange.tflite");
        StoreException e = assertThrows(StoreException.class,
                () -> executor.load(strange, 1, specs(first.inputs()), specs(first.outputs())));
        assertTrue(e.getMessage(), e.getMessage().contains("of no store of this executor"));

        TensorSpec[] wrong = {new TensorSpec("image", 3)};
        e = assertThrows(StoreException.class, () -> executor.load(store.verifiedFile(first.original()), 1, wrong,
                specs(first.outputs())));
        assertTrue(e.getMessage(), e.getMessage().contains("for image[1, 3]) than the manifest says"));

        File blocked = new File(temporary.newFile("a file"), "linked");
        e = assertThrows(StoreException.class, () -> new CompiledModelExecutor(blocked, store));
        assertTrue(e.getMessage(), e.getMessage().contains("is the storage full?"));

        Files.write(linked.toPath(), new byte[] {1, 2, 3});
        e = assertThrows(StoreException.class, () -> loadFirst(executor, 1));
        assertTrue(e.getMessage(), e.getMessage().contains("cannot be loaded"));
        assertTrue("so that it is linked anew", !linked.exists());
        loadFirst(executor, 1).close();
    }
}
