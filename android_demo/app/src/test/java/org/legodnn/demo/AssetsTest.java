package org.legodnn.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.content.res.AssetManager;
import java.io.File;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.junit.runner.RunWith;
import org.legodnn.Assets;
import org.legodnn.Store;
import org.legodnn.StoreException;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;

/** Where stores of the assets are unpacked to. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34)
public class AssetsTest {
    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    private final AssetManager assets = RuntimeEnvironment.getApplication().getAssets();

    /** The stores of the packed workload. */
    private List<String> stores() throws Exception {
        List<String> stores = new ArrayList<>();
        try (Scanner document = new Scanner(assets.open("workload.json"), "UTF-8")) {
            Matcher store = Pattern.compile("\"store\": *\"([^\"]+)\"").matcher(document.useDelimiter("\\A").next());
            while (store.find()) {
                stores.add(store.group(1));
            }
        }
        return stores;
    }

    @Test
    public void whatElseLiesInTheFolderIsLeftAlone() throws Exception {
        File folder = temporary.newFolder("files");
        File letters = new File(folder, "letters");
        assertTrue(letters.mkdir() && new File(letters, "one").createNewFile());
        Files.write(new File(folder, "faces.profile.json").toPath(), new byte[] {1});
        Assets.open(assets, stores().get(0), folder);
        Assets.workload(assets, "workload.json", temporary.newFolder("others"));
        assertTrue(new File(letters, "one").exists());
        assertEquals(1, new File(folder, "faces.profile.json").length());
    }

    @Test
    public void aStoreInUseIsNotRemovedForAnother() throws Exception {
        File folder = temporary.newFolder("both");
        Store first = Assets.open(assets, stores().get(0), folder);
        StoreException error =
                assertThrows(StoreException.class, () -> Assets.open(assets, stores().get(1), folder));
        assertTrue(error.getMessage(), error.getMessage().contains("a folder of its own"));
        assertEquals(first.id(), Store.open(first.folder()).id());
    }

    @Test
    public void anotherProcessIsWaitedForThatUnpacksTheSame() throws Exception {
        File folder = temporary.newFolder("shared");
        File released = new File(temporary.getRoot(), "released");
        File taken = new File(temporary.getRoot(), "taken");
        Process other = new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-cp",
                System.getProperty("java.class.path"), Other.class.getName(), folder + "/.lock", taken.getPath(),
                released.getPath()).inheritIO().start();
        Await.until("the lock", taken::exists);
        Assets.open(assets, stores().get(0), folder);
        assertTrue(released.exists());
        assertEquals(0, other.waitFor());
    }

    @Test
    public void aThreadThatIsInterruptedIsToldSo() throws Exception {
        File folder = temporary.newFolder("stopped");
        Thread.currentThread().interrupt();
        StoreException error;
        try {
            error = assertThrows(StoreException.class, () -> Assets.open(assets, stores().get(0), folder));
        } finally {
            Thread.interrupted();
        }
        assertTrue(error.getMessage(), error.getMessage().endsWith("its thread was interrupted; open it again"));
        Assets.open(assets, stores().get(0), folder);
    }

    /** A process that unpacks for a while. */
    public static final class Other {
        private Other() {}

        /** @param args the lock, what says that it is held, and what says that it was let go */
        public static void main(String[] args) throws Exception {
            try (RandomAccessFile lock = new RandomAccessFile(args[0], "rw")) {
                lock.getChannel().lock();
                assertTrue(new File(args[1]).createNewFile());
                Thread.sleep(700);
                assertTrue(new File(args[2]).createNewFile());
            }
        }
    }
}
