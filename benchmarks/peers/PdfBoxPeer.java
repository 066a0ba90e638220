import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CRL;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Calendar;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import org.apache.pdfbox.cos.COSArray;
import org.apache.pdfbox.cos.COSBase;
import org.apache.pdfbox.cos.COSDictionary;
import org.apache.pdfbox.cos.COSName;
import org.apache.pdfbox.cos.COSStream;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.ExternalSigningSupport;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.PDSignature;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/**
 * PDFBox and BouncyCastle: a detached P-256 signature as an incremental update, and the check of one.
 * Arguments: sign PDF P12 WARM_UP COUNT | verify PDF ROOT_DER WARM_UP COUNT. A line "round" asks for {cpu, wall} of one.
 */
public final class PdfBoxPeer {
    private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    interface Operation {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        byte[] pdf = Files.readAllBytes(Path.of(arguments[1]));
        byte[] other = Files.readAllBytes(Path.of(arguments[2]));
        Operation operation = arguments[0].equals("sign") ? signing(pdf, other) : verifying(pdf, other);
        measure(operation, Integer.parseInt(arguments[3]), Integer.parseInt(arguments[4]));
    }

    private static void measure(Operation operation, int warmUp, int count) throws Exception {
        for (int i = 0; i < warmUp; i++) {
            operation.run();
        }
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in));
        while ("round".equals(asked.readLine())) {
            long cpu = SYSTEM.getProcessCpuTime();
            long wall = System.nanoTime();
            for (int i = 0; i < count; i++) {
                operation.run();
            }
            double scale = 1e6 * count;
            System.out.printf("{\"cpu\": %.4f, \"wall\": %.4f}%n", (SYSTEM.getProcessCpuTime() - cpu) / scale, (System.nanoTime() - wall) / scale);
        }
    }

    private static Operation signing(byte[] pdf, byte[] p12) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new ByteArrayInputStream(p12), "benchmark".toCharArray());
        String alias = store.aliases().nextElement();
        PrivateKey key = (PrivateKey) store.getKey(alias, "benchmark".toCharArray());
        List<X509Certificate> chain = new ArrayList<>();
        for (java.security.cert.Certificate one : store.getCertificateChain(alias)) {
            chain.add((X509Certificate) one);
        }
        return () -> sign(pdf, key, chain);
    }

    private static byte[] sign(byte[] pdf, PrivateKey key, List<X509Certificate> chain) throws Exception {
        try (PDDocument document = PDDocument.load(pdf)) {
            PDSignature signature = new PDSignature();
            signature.setFilter(PDSignature.FILTER_ADOBE_PPKLITE);
            signature.setSubFilter(COSName.getPDFName("ETSI.CAdES.detached"));
            signature.setName("benchmark");
            signature.setSignDate(Calendar.getInstance());
            document.addSignature(signature);
            ByteArrayOutputStream out = new ByteArrayOutputStream(pdf.length + 32768);
            ExternalSigningSupport external = document.saveIncrementalForExternalSigning(out);
            ContentSigner signer = new JcaContentSignerBuilder("SHA256withECDSA").build(key);
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            var digests = new JcaDigestCalculatorProviderBuilder().build();
            generator.addSignerInfoGenerator(new JcaSignerInfoGeneratorBuilder(digests).build(signer, chain.get(0)));
            generator.addCertificates(new JcaCertStore(chain));
            try (InputStream content = external.getContent()) {
                external.setSignature(generator.generate(new CMSProcessableByteArray(content.readAllBytes()), false).getEncoded());
            }
            return out.toByteArray();
        }
    }

    private static Operation verifying(byte[] pdf, byte[] root) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        X509Certificate anchor = (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(root));
        return () -> verify(pdf, anchor, factory);
    }

    private static void verify(byte[] pdf, X509Certificate anchor, CertificateFactory factory) throws Exception {
        try (PDDocument document = PDDocument.load(pdf)) {
            List<PDSignature> signatures = document.getSignatureDictionaries();
            PDSignature last = signatures.get(signatures.size() - 1);
            int[] range = last.getByteRange();
            if (range[0] != 0 || range[2] + range[3] != pdf.length) {
                throw new IllegalStateException("does not cover the file");
            }
            CMSSignedData cms = new CMSSignedData(new CMSProcessableByteArray(last.getSignedContent(pdf)), last.getContents(pdf));
            SignerInformation signer = cms.getSignerInfos().getSigners().iterator().next();
            X509CertificateHolder holder = (X509CertificateHolder) cms.getCertificates().getMatches(signer.getSID()).iterator().next();
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().build(holder))) {
                throw new IllegalStateException("signature");
            }
            requirePath(document, cms, holder, anchor, factory);
        }
    }

    /** A path to the anchor, with revocation looked up in the file's own CRLs of that hierarchy. */
    private static void requirePath(
            PDDocument document, CMSSignedData cms, X509CertificateHolder holder, X509Certificate anchor, CertificateFactory factory)
            throws Exception {
        JcaX509CertificateConverter converter = new JcaX509CertificateConverter();
        Collection<Object> material = new ArrayList<>();
        for (Object one : cms.getCertificates().getMatches(null)) {
            material.add(converter.getCertificate((X509CertificateHolder) one));
        }
        material.addAll(revocationLists(document, factory));
        X509CertSelector target = new X509CertSelector();
        target.setCertificate(converter.getCertificate(holder));
        PKIXBuilderParameters parameters = new PKIXBuilderParameters(Set.of(new TrustAnchor(anchor, null)), target);
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(material)));
        parameters.setRevocationEnabled(true);
        CertPathBuilder.getInstance("PKIX").build(parameters);
    }

    private static List<X509CRL> revocationLists(PDDocument document, CertificateFactory factory) throws Exception {
        List<X509CRL> found = new ArrayList<>();
        COSBase store = document.getDocumentCatalog().getCOSObject().getDictionaryObject("DSS");
        COSArray lists = store instanceof COSDictionary ? (COSArray) ((COSDictionary) store).getDictionaryObject("CRLs") : new COSArray();
        for (int i = 0; i < lists.size(); i++) {
            byte[] der = ((COSStream) lists.getObject(i)).createInputStream().readAllBytes();
            X509CRL crl = (X509CRL) factory.generateCRL(new ByteArrayInputStream(der));
            if (Arrays.asList("SHA256withECDSA", "SHA384withECDSA").contains(crl.getSigAlgName())) {
                found.add(crl);
            }
        }
        return found;
    }
}
